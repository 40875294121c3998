// What a run shows below its program: how far it is, what it printed, how it ended.

import { megabytes } from "./program.ts";
import type { Failure, Stream } from "./protocol.ts";

export type State = "loading" | "running" | "ended" | "failed" | "stopped";

/** Lines that a screen reader is read of what was printed; the rest stands in the region. */
const READ_ALOUD = 6;
/** What the stylesheet writes above what was not printed as usual. */
const LABELS: Record<Stream, string> = { out: "Output", err: "Error output" };
/** Milliseconds between two additions to the page. */
const PAUSE = 40;

export class Output {
  readonly element = document.createElement("div");
  readonly #said = document.createElement("span");
  readonly #file = document.createElement("b");
  readonly #bar = document.createElement("progress");
  readonly #where = document.createElement("button");
  readonly #text = document.createElement("pre");
  #waiting: [Stream, string][] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** What is read aloud of a failure: a traceback begins with what matters least. */
  #reason: string[] = [];

  /** Makes an empty region; `host` says in `data-run` which state a run is in. */
  constructor(
    readonly host: HTMLElement,
    readonly goTo: (line: number) => void,
  ) {
    this.element.className = "run__output";
    this.element.setAttribute("role", "group");
    this.#file.className = "run__file";
    this.#said.className = "run__said";
    this.#bar.setAttribute("aria-label", "Loading Python");
    this.#bar.hidden = true;
    this.#where.type = "button";
    this.#where.className = "run__button run__where";
    this.#where.hidden = true;
    this.#text.className = "run__text";
    const head = document.createElement("p");
    head.className = "run__head";
    head.append(this.#file, " ", this.#said, " ", this.#where);
    this.element.append(head, this.#bar, this.#text);
    voice();
  }

  /** Begins a new run of a file. */
  begin(file: string): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#waiting = [];
    this.#reason = [];
    this.#file.textContent = file;
    this.element.setAttribute("aria-label", `Output of ${file}`);
    this.#bar.value = 0;
    this.#text.replaceChildren();
    this.#text.removeAttribute("tabindex");
    this.#where.hidden = true;
    this.#text.hidden = true;
    this.element.hidden = false;
    this.element.scrollIntoView({ block: "nearest" });
  }

  /** Says what goes on. */
  say(state: State, said: string): void {
    this.host.dataset.run = state;
    this.#bar.hidden = state !== "loading";
    this.#said.textContent = said;
  }

  /** Says how much of Python is there. */
  progress(loaded: number, total: number): void {
    this.#bar.max = Math.max(loaded, total);
    this.#bar.value = loaded;
    const whole = loaded >= total;
    this.say("loading", whole ? "starting Python" : `loading Python: ${megabytes(loaded, total)}`);
  }

  /** Adds what was printed, soon. */
  print(stream: Stream, text: string): void {
    const last = this.#waiting.at(-1);
    if (last?.[0] === stream) last[1] += text;
    else this.#waiting.push([stream, text]);
    this.#timer ??= setTimeout(() => this.#flush(), PAUSE);
  }

  /** Adds a traceback or a message that ended the run, and a way to its line. */
  fail({ name, text, line }: Failure): void {
    this.#reason = reasonIn(text, name);
    const printed = this.text;
    const apart = printed && !printed.endsWith("\n") ? "\n" : "";
    this.#add("err", `${apart}${text.replace(/\n*$/, "\n")}`, "Error");
    this.#where.hidden = line === null;
    this.#where.textContent = `Show line ${line}`;
    this.#where.onclick = () => line !== null && this.goTo(line);
  }

  /** Everything that was printed so far, as the page shows it. */
  get text(): string {
    this.#flush();
    return this.#text.textContent ?? "";
  }

  /** Ends the run: says how, and reads it aloud with the first lines of what was printed. */
  end(state: State, said: string): void {
    const lines = this.#reason.length ? this.#reason : linesOf(this.text);
    this.say(state, said);
    const more = lines.length - READ_ALOUD;
    const rest = more > 0 ? [`and ${more} more lines`] : [];
    const reading = this.host.contains(document.activeElement);
    if (reading) this.element.scrollIntoView({ block: "nearest" });
    announce([`${this.#file.textContent} ${said}`, ...lines.slice(0, READ_ALOUD), ...rest]);
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const [stream, text] of waiting) this.#add(stream, text);
  }

  #add(stream: Stream, text: string, label = LABELS[stream]): void {
    const box = this.#text;
    box.hidden = false;
    const below = box.scrollHeight - box.scrollTop - box.clientHeight;
    const last = box.lastElementChild;
    if (last instanceof HTMLElement && last.dataset.label === label) last.append(text);
    else {
      const part = document.createElement("span");
      part.dataset.stream = stream;
      part.dataset.label = label;
      part.textContent = text;
      box.append(part);
    }
    if (box.scrollHeight > box.clientHeight) box.tabIndex = 0; // keys can scroll it
    if (below < 8) box.scrollTop = box.scrollHeight;
  }
}

function linesOf(text: string): string[] {
  return text.split("\n").filter((line) => line !== "");
}

/** What a failure says from the line that names it on; all of it, if no line does. */
function reasonIn(text: string, name: string): string[] {
  const lines = linesOf(text);
  const named = lines.map((line) => `.${line.split(":")[0]}`.endsWith(`.${name}`));
  return lines.slice(Math.max(0, named.lastIndexOf(true)));
}

/** Reads lines aloud where a screen reader is used. */
export function announce(lines: string[]): void {
  voice().textContent = lines.join("\n");
}

/** The one element whose changes are read aloud; it is there before the first change. */
function voice(): HTMLElement {
  const found = document.getElementById("run-voice");
  if (found) return found;
  const made = document.createElement("div");
  made.id = "run-voice";
  made.className = "run__voice";
  made.setAttribute("role", "status");
  document.body.append(made);
  return made;
}
