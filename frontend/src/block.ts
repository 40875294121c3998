// One program block of a page: what its buttons do.
import { keep, kept, nameOf } from "./drafts.ts";
import type { Editor } from "./editor.ts";
import { copy, download, NOT_COPIED } from "./hand_out.ts";
import type { Doing } from "./main.ts";
import { announce } from "./output.ts";
import { linesToFold, loadProgram, type Program, rowOf } from "./program.ts";
import { button, Runner } from "./runner.ts";

const blocks = new WeakMap<HTMLElement, Promise<Block>>();

/** Does what a button of a block says. */
export async function act(element: HTMLElement, doing: Doing, assets: string): Promise<void> {
  let block = blocks.get(element);
  if (!block) {
    block = loadProgram(assets, element.dataset.program ?? "").then(
      (program) => new Block(element, assets, program),
    );
    blocks.set(element, block);
    block.catch(() => blocks.delete(element)); // the next press tries again
  }
  await (await block)[doing]();
}

class Block {
  readonly #element: HTMLElement;
  readonly #program: Program;
  readonly #runner: Runner;
  readonly #reset = button("Reset", () => this.reset());
  readonly #note = document.createElement("span");
  readonly #place = document.createElement("div");
  readonly #mark = document.createElement("span");
  /** What the reader wrote before, until an editor is opened. */
  #draft: string | null;
  #editor: Editor | undefined;

  constructor(element: HTMLElement, assets: string, program: Program) {
    this.#element = element;
    this.#program = program;
    this.#draft = kept(nameOf(element));
    this.#note.className = "run__note";
    this.#note.setAttribute("role", "status");
    this.#place.className = "run__editor";
    this.#place.hidden = true;
    this.#mark.className = "run__mark";
    this.#mark.setAttribute("aria-hidden", "true"); // the output names the line
    this.#mark.textContent = "error";
    this.#runner = new Runner({
      host: element,
      run: this.#button("run"),
      assets,
      mark: (line) => this.#markLine(line),
      goTo: (line) => void this.goTo(line),
    });
    this.#runner.output.element.hidden = true;
    const bar = this.#button("run").parentElement;
    bar?.append(this.#note);
    this.#reset.hidden = true;
    this.#button("edit").after(this.#reset);
    bar?.before(this.#place);
    bar?.after(this.#runner.output.element);
  }

  /** The program as Run runs it: the reader's, once it was edited. */
  get text(): string {
    return this.#editor?.text() ?? this.#draft ?? this.#program.text;
  }

  get #edited(): boolean {
    return this.text !== this.#program.text;
  }

  async run(): Promise<void> {
    if (this.#runner.running) return;
    this.show();
    const { name, files } = this.#program;
    // The page plays the run of the original; a reader's own is recorded as they make it.
    await this.#runner.run({ name, text: this.text, files, record: this.#edited });
  }

  /** Opens the editor where the excerpt stood, or puts the excerpt back. */
  async edit(): Promise<void> {
    if (!this.#place.hidden) {
      this.#place.hidden = true;
      this.show();
      return;
    }
    await this.#open();
    this.#editor?.focus();
  }

  /** Gives the original back, as a change that can be undone. */
  reset(): void {
    this.#draft = null;
    this.#editor?.replace(this.#program.text);
    this.#changed();
    this.#markLine(null);
    announce(["The original program is back."]);
    if (this.#reset.hidden) this.#button("edit").focus();
  }

  /** Brings buttons and words in line with whether the program is edited, and the editor open. */
  show(): void {
    const open = !this.#place.hidden;
    this.#element.classList.toggle("run-editing", open);
    this.#button("edit").textContent = open ? "Close editor" : "Edit";
    this.#reset.hidden = !open && !this.#edited;
    this.#tell(this.#edited ? "Run runs your edited program." : "");
  }

  async copy(): Promise<void> {
    this.#tell(""); // so that it is heard once more
    this.#tell((await copy(this.text)) ? "Copied." : NOT_COPIED);
  }

  download(): void {
    download(this.#program.name, this.text);
  }

  /** Shows a line of the program in the editor. */
  async goTo(line: number): Promise<void> {
    await this.#open();
    this.#editor?.goTo(line);
  }

  async #open(): Promise<void> {
    const { name, text, sections, foldable } = this.#program;
    const { openEditor } = await import("./editor.ts");
    if (!this.#editor) {
      const section = sections[this.#element.dataset.section ?? ""] ?? null;
      this.#place.hidden = false; // so that the editor can measure, and scroll
      this.#editor = openEditor({
        parent: this.#place,
        label: `The program ${name}`,
        text,
        section,
        fold: linesToFold(foldable, section),
        onRun: () => void this.run(),
        onChange: () => this.#changed(),
      });
      if (this.#draft !== null) this.#editor.replace(this.#draft);
    }
    this.#place.hidden = false;
    this.show();
  }

  #changed(): void {
    keep(nameOf(this.#element), this.#edited ? this.text : null);
    this.#mark.remove();
    this.show();
  }

  #tell(said: string): void {
    if (this.#note.textContent !== said) this.#note.textContent = said;
  }

  /** Marks a line of the program in the editor, and in the excerpt if it is there. */
  #markLine(line: number | null): void {
    this.#editor?.mark(line);
    this.#mark.remove();
    const code = this.#element.querySelector("pre > code, .lines__box > code");
    if (line === null || this.#edited || !code) return;
    const row = rowOf(this.#program, this.#element.dataset.section ?? null, shown(code), line);
    if (row === null) return;
    this.#mark.style.setProperty("--row", String(row));
    code.closest("pre")?.append(this.#mark);
  }

  #button(doing: Doing): HTMLButtonElement {
    const found = this.#element.querySelector<HTMLButtonElement>(`[data-do="${doing}"]`);
    if (!found) throw new Error(`the block has no button to ${doing}`);
    return found;
  }
}

/** The text of a block, without the theme's annotations. */
function shown(code: Element): string {
  const copied = code.cloneNode(true) as Element;
  for (const one of copied.querySelectorAll(".md-annotation, .md-code__nav")) one.remove();
  return copied.textContent ?? "";
}
