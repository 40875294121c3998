// The editor's look: the site's custom properties, so that it is light or dark as the page is.
import { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { EditorView } from "@codemirror/view";
import { tags } from "@lezer/highlight";

const look = EditorView.theme({
  "&": { color: "var(--ink)", backgroundColor: "var(--surface)", fontSize: "0.67rem" },
  "&.cm-focused": { outline: "none" }, // the frame around editor and hint has it
  ".cm-scroller": {
    maxHeight: "min(70vh, 28rem)",
    overflow: "auto",
    fontFamily: "var(--md-code-font-family)",
    lineHeight: "1.6",
  },
  ".cm-content": { padding: "0.5rem 0", caretColor: "var(--ink)" },
  ".cm-content:focus-visible": { outline: "none !important" },
  ".cm-line": { padding: "0 0.95rem 0 0.5rem" },
  ".cm-cursor, .cm-dropCursor": { borderLeftColor: "var(--ink)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground":
    { background: "color-mix(in srgb, var(--command-line) 35%, transparent)" },
  ".cm-activeLine": { backgroundColor: "transparent" },
  "&.cm-focused .cm-activeLine": {
    backgroundColor: "color-mix(in srgb, var(--ink) 5%, transparent)",
  },
  ".cm-gutters": {
    border: "0",
    backgroundColor: "var(--surface)",
    color: "var(--ink-2)",
    fontVariantNumeric: "tabular-nums",
  },
  ".cm-activeLineGutter": { backgroundColor: "transparent", color: "var(--ink)" },
  ".cm-lineNumbers .cm-gutterElement": { padding: "0 0.2rem 0 0.6rem" },
  ".cm-foldGutter .cm-gutterElement": { cursor: "pointer" },
  ".cm-matchingBracket, &.cm-focused .cm-matchingBracket": {
    backgroundColor: "transparent",
    outline: "1px solid var(--ink-2)",
  },
  ".cm-nonmatchingBracket, &.cm-focused .cm-nonmatchingBracket": {
    backgroundColor: "transparent",
    color: "var(--bad)",
  },
  ".cm-placeholder": { color: "var(--ink-2)" },
  ".cm-specialChar": { color: "var(--bad)" },
  ".cm-folded": {
    border: "1px solid var(--line)",
    borderRadius: "0.15rem",
    margin: "0 0.3rem",
    padding: "0 0.35rem",
    backgroundColor: "var(--paper)",
    color: "var(--ink-2)",
    cursor: "pointer",
  },
  ".cm-section": { boxShadow: "inset 3px 0 var(--line)" },
  ".cm-failed, &.cm-focused .cm-failed": {
    backgroundColor: "color-mix(in srgb, var(--bad) 14%, transparent)",
    boxShadow: "inset 3px 0 var(--bad)",
  },
  ".cm-failed::after": {
    marginLeft: "1rem",
    color: "var(--bad)",
    fontFamily: "var(--md-text-font-family)",
    content: '"\\2190  the error is here"',
  },
});

const words = HighlightStyle.define([
  { tag: [tags.keyword, tags.controlKeyword, tags.operatorKeyword], color: "var(--code-keyword)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--code-string)" },
  {
    tag: [tags.definition(tags.className), tags.definition(tags.function(tags.variableName))],
    color: "var(--code-name)",
  },
  {
    tag: [tags.number, tags.bool, tags.null, tags.self, tags.meta, tags.typeName],
    color: "var(--code-number)",
  },
  { tag: [tags.operator, tags.punctuation, tags.separator, tags.bracket], color: "var(--ink-2)" },
  { tag: tags.comment, color: "var(--code-comment)" },
  { tag: tags.invalid, color: "var(--bad)" },
]);

export const theme = [look, syntaxHighlighting(words)];
