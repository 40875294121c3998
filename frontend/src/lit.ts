// Finds and lights lines of a program in the blocks of the page that show them.
import { type Lines, type Program, rowOf } from "./program.ts";

/** Some lines as a block of the page shows them. */
export interface Shown {
  code: HTMLElement;
  range: Range;
  whole: boolean; // whether the block shows all of them
}

/** The blocks that show lines of a program; the first is the best to look at. */
export function shownOn(page: ParentNode, path: string, program: Program, lines: Lines): Shown[] {
  const [first, last] = lines;
  const numbers = Array.from({ length: last - first + 1 }, (_, place) => first + place);
  const found: Shown[] = [];
  for (const block of page.querySelectorAll<HTMLElement>("[data-program]")) {
    const code = block.querySelector("code");
    if (block.dataset.program !== path || !code || code.closest("[hidden]")) continue;
    const section = block.dataset.section ?? null;
    const text = textNodes(code)
      .map((node) => node.data)
      .join("");
    const rows = numbers
      .map((line) => rowOf(program, section, text, line))
      .filter((row) => row !== null);
    const [from, to] = [rows[0], rows.at(-1)];
    if (from === undefined || to === undefined) continue;
    found.push({ code, range: rangeOf(code, from, to), whole: rows.length === numbers.length });
  }
  const closed = ({ code }: Shown) => Number(!!code.closest("details:not([open])"));
  return found.sort((a, b) => closed(a) - closed(b) || Number(b.whole) - Number(a.whole));
}

/** Light these lines, and no others. Browsers that cannot, show the page as it is. */
export function lightLines(shown: Shown[]): void {
  if (!("highlights" in CSS)) return;
  CSS.highlights.delete("step");
  if (shown.length) CSS.highlights.set("step", new Highlight(...shown.map((one) => one.range)));
}

/** Go to these lines, with the focus; no address in the page leads to a line. */
export function goTo({ code, range }: Shown): void {
  for (
    let box = code.closest("details");
    box;
    box = box.parentElement?.closest("details") ?? null
  ) {
    box.open = true;
  }
  if (!code.hasAttribute("tabindex")) code.tabIndex = -1;
  code.focus({ preventScroll: true });
  range.startContainer.parentElement?.scrollIntoView({ block: "center" });
}

/** What a block shows: annotations, which the theme puts into it, are none of it. */
function textNodes(code: HTMLElement): Text[] {
  const walker = document.createTreeWalker(code, NodeFilter.SHOW_TEXT);
  const found: Text[] = [];
  while (walker.nextNode()) {
    const node = walker.currentNode as Text;
    if (!node.parentElement?.closest(".md-annotation")) found.push(node);
  }
  return found;
}

/** From the beginning of one row to the end of another, counted from 0. */
function rangeOf(code: HTMLElement, first: number, last: number): Range {
  const range = document.createRange();
  range.selectNodeContents(code);
  let row = 0;
  for (const node of textNodes(code)) {
    for (let at = node.data.indexOf("\n"); at >= 0; at = node.data.indexOf("\n", at + 1)) {
      row += 1;
      if (row === first) range.setStart(node, at + 1);
      if (row === last + 1) range.setEnd(node, at);
    }
  }
  return range;
}
