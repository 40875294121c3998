// An editor for one program: CodeMirror, in Python mode, that shows a section and marks an error.
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { pythonLanguage } from "@codemirror/lang-python";
import {
  bracketMatching,
  codeFolding,
  foldEffect,
  foldGutter,
  foldKeymap,
  indentOnInput,
  indentUnit,
} from "@codemirror/language";
import { EditorState, type Range, StateEffect, StateField } from "@codemirror/state";
import {
  Decoration,
  type DecorationSet,
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  highlightSpecialChars,
  keymap,
  lineNumbers,
  placeholder,
} from "@codemirror/view";
import type { Lines } from "./program.ts";
import { theme } from "./theme.ts";

export interface EditorOptions {
  /** What holds the editor. */
  parent: HTMLElement;
  /** How a screen reader names it. */
  label: string;
  text: string;
  /** The lines to show first, marked at their edge. */
  section?: Lines | null;
  /** The lines to fold. */
  fold?: Lines | null;
  onRun: () => void;
  onChange: () => void;
}

export interface Editor {
  text(): string;
  /** Puts another text in, as a change that can be undone. */
  replace(text: string): void;
  /** Marks a line, counted from 1, as that of the error; null removes the mark. */
  mark(line: number | null): void;
  /** Scrolls to a line, puts the cursor there and takes the focus. */
  goTo(line: number): void;
  focus(): void;
}

const HINT = "Tab indents. To leave the editor press Escape, then Tab. Ctrl or Cmd and Enter runs.";

const section = Decoration.line({ class: "cm-section" });
const failed = Decoration.line({ class: "cm-failed" });
const setFailed = StateEffect.define<number | null>();

/** The line of the error, which goes when the program is changed. */
const failure = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(marks, transaction) {
    for (const effect of transaction.effects) {
      if (effect.is(setFailed)) {
        return effect.value === null
          ? Decoration.none
          : Decoration.set(failed.range(startOf(transaction.state, effect.value)));
      }
    }
    return transaction.docChanged ? Decoration.none : marks;
  },
  provide: (field) => EditorView.decorations.from(field),
});

/** The lines of the section, which stay marked as they are edited. */
function sectionField(lines: Lines) {
  return StateField.define<DecorationSet>({
    create(state) {
      const marks: Range<Decoration>[] = [];
      for (let line = lines[0]; line <= Math.min(lines[1], state.doc.lines); line++) {
        marks.push(section.range(startOf(state, line)));
      }
      return Decoration.set(marks);
    },
    update: (marks, transaction) => marks.map(transaction.changes),
    provide: (field) => EditorView.decorations.from(field),
  });
}

export function openEditor(options: EditorOptions): Editor {
  const runProgram = () => {
    options.onRun();
    return true;
  };
  const hint = document.createElement("p");
  hint.className = "run__hint";
  hint.id = `run-hint-${Math.random().toString(36).slice(2)}`;
  hint.textContent = HINT;
  const view = new EditorView({
    parent: options.parent,
    state: EditorState.create({
      doc: options.text,
      extensions: [
        lineNumbers(),
        foldGutter(),
        codeFolding({ preparePlaceholder: linesBetween, placeholderDOM: folded }),
        history(),
        drawSelection(),
        highlightSpecialChars(),
        highlightActiveLine(),
        highlightActiveLineGutter(),
        bracketMatching(),
        indentOnInput(),
        indentUnit.of("    "),
        EditorState.tabSize.of(4),
        pythonLanguage,
        placeholder("# Write a program here."),
        theme,
        failure,
        options.section ? sectionField(options.section) : [],
        EditorView.contentAttributes.of({
          "aria-label": options.label,
          "aria-describedby": hint.id,
          tabindex: "0",
          autocapitalize: "off",
        }),
        keymap.of([
          { key: "Mod-Enter", run: runProgram },
          { key: "Ctrl-Enter", run: runProgram },
          { key: "Escape", run: letTabLeave },
          indentWithTab,
          ...foldKeymap,
          ...historyKeymap,
          ...defaultKeymap,
        ]),
        EditorView.scrollMargins.of(behindHeader),
        EditorView.domEventHandlers({
          blur: (_, view) => view.setTabFocusMode(false),
        }),
        EditorView.updateListener.of((update) => {
          if (!update.docChanged) return;
          update.view.setTabFocusMode(false);
          options.onChange();
        }),
      ],
    }),
  });
  options.parent.append(hint);
  let watching: { unsubscribe(): void } | undefined;
  watching = window.document$?.subscribe(() => {
    if (options.parent.isConnected) return;
    view.destroy(); // the reader has gone on to another page, perhaps before the editor was there:
    watching?.unsubscribe(); // the theme calls this at once, too
  });
  const { fold } = options;
  if (fold && fold[1] <= view.state.doc.lines) {
    const [from, to] = [view.state.doc.line(fold[0]).to, view.state.doc.line(fold[1]).to];
    view.dispatch({ effects: foldEffect.of({ from, to }) });
  }
  if (options.section) {
    const at = startOf(view.state, options.section[0]);
    const scroll = EditorView.scrollIntoView(at, { y: "start", yMargin: 24 });
    view.dispatch({ selection: { anchor: at }, effects: scroll });
  }
  return {
    text: () => view.state.doc.toString(),
    replace(text) {
      const [now, next] = [view.state.doc, view.state.toText(text)].map(String);
      view.dispatch({ changes: change(now ?? "", next ?? "") });
    },
    mark: (line) => view.dispatch({ effects: setFailed.of(line) }),
    goTo(line) {
      const at = startOf(view.state, line);
      const effects = EditorView.scrollIntoView(at, { y: "center" });
      view.dispatch({ selection: { anchor: at }, effects }); // which unfolds what hides the line
      view.focus();
    },
    focus: () => view.focus(),
  };
}

/** What makes one text of another; what both begin and end with stays, folds and marks included. */
function change(now: string, text: string): { from: number; to: number; insert: string } {
  const shorter = Math.min(now.length, text.length);
  let from = 0;
  while (from < shorter && now[from] === text[from]) from++;
  let end = 0;
  while (end < shorter - from && now.at(-1 - end) === text.at(-1 - end)) end++;
  return { from, to: now.length - end, insert: text.slice(from, text.length - end) };
}

/** The page's header covers the upper edge of the window. */
function behindHeader(): { top: number } {
  return { top: document.querySelector(".md-header")?.getBoundingClientRect().height ?? 0 };
}

/** Where a line begins; the last line stands for lines beyond the end. */
function startOf(state: EditorState, line: number): number {
  return state.doc.line(Math.max(1, Math.min(line, state.doc.lines))).from;
}

/** After Escape, Tab leaves the editor, however long the reader waits, but not once they type. */
function letTabLeave(view: EditorView): boolean {
  view.setTabFocusMode(true);
  return false;
}

function linesBetween(state: EditorState, range: { from: number; to: number }): number {
  return state.doc.lineAt(range.to).number - state.doc.lineAt(range.from).number;
}

/** What stands for folded lines: a button for the pointer; keys unfold with Ctrl+Shift+]. */
function folded(_: EditorView, unfold: (event: Event) => void, lines: number): HTMLElement {
  const mark = document.createElement("span");
  mark.className = "cm-folded";
  mark.textContent = lines === 1 ? "… 1 line" : `… ${lines} lines`;
  mark.title = "Show these lines";
  mark.onclick = unfold;
  return mark;
}
