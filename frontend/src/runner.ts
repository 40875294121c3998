// Runs the program of one block in the page's one session, and shows what comes of it.
import { ending } from "./ending.ts";
import { announce, Output } from "./output.ts";
import { seconds } from "./program.ts";
import type { Ended, Program } from "./protocol.ts";
import { Session } from "./session.ts";

let session: Session | undefined;
let current: Runner | undefined;

/** What a page tells of an instant navigation: the theme's observable. */
declare global {
  interface Window {
    document$?: { subscribe(listener: () => void): { unsubscribe(): void } };
  }
}

window.document$?.subscribe(() => {
  if (current && !current.options.host.isConnected) current.stop(); // its reader has gone on
});

/** What the event `happened:ran` tells, when a run has ended. */
export interface Ran {
  program: Program;
  ended: Ended;
}

export interface RunnerOptions {
  /** What says in `data-run` how the run stands, and is the target of `happened:ran`. */
  host: HTMLElement;
  /** The button that starts a run; Stop appears after it. */
  run: HTMLButtonElement;
  /** The address of assets/. */
  assets: string;
  /** Marks the line of an error, or no line. */
  mark: (line: number | null) => void;
  goTo: (line: number) => void;
}

export class Runner {
  readonly output: Output;
  readonly #stop = button("Stop", () => this.stop());

  constructor(readonly options: RunnerOptions) {
    this.output = new Output(options.host, options.goTo);
  }

  get running(): boolean {
    return current === this;
  }

  /** Runs a program and shows its output; what another block runs is stopped first. */
  async run(program: Program): Promise<void> {
    current?.stop();
    current = this;
    const { output, options } = this;
    options.mark(null);
    options.run.setAttribute("aria-disabled", "true");
    options.run.after(this.#stop);
    output.begin(program.name);
    output.say("loading", "is starting");
    announce([`${program.name} is being run`]);
    session ??= new Session(new URL("run/", options.assets).href);
    let started = performance.now();
    let begun = false;
    const ended = await session.run(program, {
      progress: (loaded, total) => output.progress(loaded, total),
      started: () => {
        started = performance.now();
        begun = true;
        output.say("running", "is running");
      },
      output: (stream, text) => output.print(stream, text),
      slow: () => {
        output.say("running", "is still running; Stop ends it");
        announce([`${program.name} is still running; Stop ends it`]);
      },
    });
    this.#end(ended, begun, seconds(performance.now() - started));
    const detail: Ran = { program, ended };
    options.host.dispatchEvent(new CustomEvent("happened:ran", { bubbles: true, detail }));
  }

  /** Ends the run at once. */
  stop(): void {
    if (this.running) session?.stop();
  }

  #end(ended: Ended, begun: boolean, took: string): void {
    const { output, options } = this;
    if (current === this) current = undefined;
    options.run.removeAttribute("aria-disabled");
    if (document.activeElement === this.#stop) options.run.focus(); // Stop goes, the focus stays
    this.#stop.remove();
    const { error } = ended;
    if (error && error.name !== "Stopped") output.fail(error);
    if (error?.line) options.mark(error.line);
    output.end(...ending(ended, begun, took, output.text));
  }
}

/** Makes a button of a toolbar. */
export function button(text: string, press: () => void): HTMLButtonElement {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "run__button";
  made.textContent = text;
  made.addEventListener("click", press);
  return made;
}
