// The playground: an editor for any program, starting points, and a link that carries the program.
import { keep, kept } from "./drafts.ts";
import { type Editor, openEditor } from "./editor.ts";
import { copy, download, NOT_COPIED } from "./hand_out.ts";
import { announce } from "./output.ts";
import { loadProgram } from "./program.ts";
import { button, Runner } from "./runner.ts";
import { fromFragment, LinkError, toFragment } from "./share.ts";

const NAME = "playground.py";
/** Where a reader's program is kept while the tab is open. */
const DRAFT = "playground";

/** Fills the playground of a page, whose programs are the starting points. */
export async function openPlayground(place: HTMLElement, assets: string): Promise<void> {
  await new Playground(place, assets).begin();
}

class Playground {
  readonly #assets: string;
  readonly #editor: Editor;
  readonly #runner: Runner;
  readonly #start = document.createElement("select");
  /** The choice while the program of a link is shown; it cannot be chosen again. */
  readonly #shared = new Option("A shared program", "shared");
  readonly #said = document.createElement("p");
  readonly #note = document.createElement("span");
  readonly #link = document.createElement("input");
  #original = "";
  #putting = false;
  #begun = Promise.resolve();

  constructor(place: HTMLElement, assets: string) {
    this.#assets = assets;
    const frame = document.createElement("div");
    const run = button("Run", () => void this.run());
    const bar = document.createElement("div");
    const box = document.createElement("div");
    frame.className = "playground__frame";
    bar.className = "run";
    bar.setAttribute("role", "group");
    bar.setAttribute("aria-label", "The program");
    box.className = "run__editor";
    run.dataset.do = "run";
    bar.append(
      run,
      button("Reset", () => void this.reset()),
      button("Share", () => void this.share()),
      button("Copy program", () => void this.copy()),
      button("Download", () => void this.download()),
    );
    this.#said.className = "playground__said";
    this.#note.className = "run__note";
    bar.append(this.#note);
    this.#link.className = "playground__link";
    this.#link.readOnly = true;
    this.#link.hidden = true;
    this.#link.setAttribute("aria-label", "The link that carries the program");
    this.#link.addEventListener("focus", () => this.#link.select());
    this.#runner = new Runner({
      host: place,
      run,
      assets,
      mark: (line) => this.#editor.mark(line),
      goTo: (line) => this.#editor.goTo(line),
    });
    this.#runner.output.element.hidden = true;
    frame.append(box, bar, this.#link, this.#runner.output.element);
    place.replaceChildren(this.#choice(), this.#said, frame);
    this.#editor = openEditor({
      parent: box,
      label: "Your program",
      text: "",
      onRun: () => void this.run(),
      onChange: () => this.#changed(),
    });
    const read = () => {
      if (place.isConnected) void this.#readLink();
      else removeEventListener("hashchange", read);
    };
    addEventListener("hashchange", read);
  }

  /** Shows the program of the page's link, or the reader's own from before, or the first one. */
  begin(): Promise<void> {
    this.#begun = this.#begin();
    return this.#begun;
  }

  async #begin(): Promise<void> {
    if (await this.#readLink()) return;
    await this.#choose(() => kept(DRAFT));
    const draft = kept(DRAFT);
    if (draft !== null && draft !== this.#editor.text()) this.#editor.replace(draft);
  }

  // Who presses a button at once means the program that is about to be shown.

  async run(): Promise<void> {
    await this.#begun;
    if (this.#runner.running) return;
    const text = this.#editor.text();
    await this.#runner.run({ name: NAME, text, files: {}, record: true });
  }

  /** Gives back what the reader started from, as a change that can be undone. */
  async reset(): Promise<void> {
    await this.#begun;
    this.#editor.replace(this.#original);
    this.#tell("The program is as it was at the start.", this.#note);
  }

  /** Puts a link that carries the program into the address and the clipboard. */
  async share(): Promise<void> {
    await this.#begun;
    try {
      const fragment = await toFragment(this.#editor.text());
      history.replaceState(history.state, "", `#${fragment}`);
      this.#link.value = location.href;
      this.#link.hidden = false;
      await this.#copy(location.href, "The link was copied.", "Copy the link from below.");
    } catch (error) {
      this.#link.hidden = true;
      if (!(error instanceof LinkError)) throw error;
      this.#tell(error.message, this.#note);
    }
  }

  async copy(): Promise<void> {
    await this.#begun;
    await this.#copy(this.#editor.text(), "The program was copied.");
  }

  async download(): Promise<void> {
    await this.#begun;
    download(NAME, this.#editor.text());
  }

  /** Makes the choice of starting points: the programs that this page shows below headings. */
  #choice(): HTMLElement {
    const label = document.createElement("label");
    label.className = "playground__start";
    this.#start.add(new Option("An empty program", ""));
    for (const block of document.querySelectorAll<HTMLElement>("[data-program]")) {
      const title = titleOf(block);
      const known = [...this.#start.options].some((one) => one.value === block.dataset.program);
      if (!known && title) this.#start.add(new Option(title, block.dataset.program));
    }
    this.#start.selectedIndex = Math.min(1, this.#start.options.length - 1);
    this.#start.addEventListener("change", () => void this.#choose());
    label.append("Start from ", this.#start);
    return label;
  }

  /** Shows the chosen program; `own` gives what the reader wrote before, or while it was loaded. */
  async #choose(own: () => string | null = () => null): Promise<void> {
    const path = this.#start.value;
    this.#shared.remove(); // the reader has chosen another program
    try {
      const text = path && (await loadProgram(this.#assets, path)).text;
      if (path !== this.#start.value) return; // the reader has chosen another one since
      const written = own();
      if (written !== null && written === this.#editor.text()) {
        this.#original = text; // the reader goes on writing
        return;
      }
      this.#put(text, "");
      keep(DRAFT, written ?? text);
    } catch (error) {
      this.#tell(error instanceof Error ? error.message : String(error));
    }
  }

  /** Shows the program of the address, and runs nothing; tells whether there was one. */
  async #readLink(): Promise<boolean> {
    try {
      const program = await fromFragment(location.hash);
      if (program === null) return false;
      this.#start.add(this.#shared, 0);
      this.#start.value = this.#shared.value;
      this.#put(program, "This program came with the link. Read it before you run it.");
    } catch (error) {
      if (!(error instanceof LinkError)) throw error;
      this.#shared.remove();
      this.#start.value = "";
      this.#put("", error.message);
    }
    return true;
  }

  #put(text: string, said: string): void {
    this.#original = text;
    this.#putting = true;
    this.#editor.replace(text);
    this.#putting = false;
    this.#tell(said);
  }

  /** Keeps the reader's own program; the address has a link no longer that carries another. */
  #changed(): void {
    if (this.#putting) return;
    keep(DRAFT, this.#editor.text());
    this.#link.hidden = true;
    if (location.hash) history.replaceState(history.state, "", location.pathname + location.search);
  }

  async #copy(text: string, said: string, otherwise = NOT_COPIED): Promise<void> {
    this.#tell((await copy(text)) ? said : otherwise, this.#note);
  }

  /** Says something, above the program or beside the buttons, until there is something else. */
  #tell(said: string, place: HTMLElement = this.#said): void {
    this.#said.textContent = this.#note.textContent = "";
    place.textContent = said;
    if (said) announce([said]);
  }
}

/** The heading or summary above a block. */
function titleOf(block: HTMLElement): string {
  const above = [...document.querySelectorAll("h2, h3, summary")].filter(
    (one) => one.compareDocumentPosition(block) & Node.DOCUMENT_POSITION_FOLLOWING,
  );
  const title = above.at(-1)?.cloneNode(true) as HTMLElement | undefined;
  title?.querySelector(".headerlink")?.remove();
  return title?.textContent?.trim() ?? "";
}
