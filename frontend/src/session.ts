// The page's one worker: booted at the first run, kept for the next ones, thrown away when stopped.
import { unreachable } from "./loading.ts";
import { keepForOffline } from "./offline.ts";
import type { Ended, FromWorker, Program, Stream, ToWorker } from "./protocol.ts";

export interface Handlers {
  /** Called while Python is loaded, in bytes. */
  progress?(loaded: number, total: number): void;
  /** Called when Python is there and the program begins. */
  started?(): void;
  output(stream: Stream, text: string): void;
  /** Called once when the program has run for `SLOW` without end. */
  slow?(): void;
}

/** Milliseconds after which a program that runs is told of: within two seconds of the press. */
export const SLOW = 1_500;

const NO_WEBASSEMBLY =
  "Programs run here with WebAssembly, which this browser does not have or does not allow. " +
  "Update or change the browser, or download the program and run it with Python.";

const NO_WORKER =
  "Programs run here in a worker, which this browser does not allow: change its settings, or " +
  "download the program and run it with Python. It says:";

interface Run {
  id: number;
  program: Program;
  handlers: Handlers;
  end: (ended: Ended) => void;
}

/**
 * Runs programs, one at a time: a run ends the one before it.
 *
 * A run that is stopped ends with the error "Stopped"; a worker that could not boot, or that broke,
 * ends it with the error "NotRun". Nothing is thrown.
 */
export class Session {
  #worker: Worker | undefined;
  #ready = false;
  #run: Run | undefined;
  #runs = 0;
  #slow: ReturnType<typeof setTimeout> | undefined;

  /**
   * @param base The absolute address of assets/run/.
   */
  constructor(
    readonly base: string,
    readonly open: (address: string) => Worker = openWorker,
    readonly keep: (base: string) => unknown = keepForOffline,
  ) {}

  run(program: Program, handlers: Handlers): Promise<Ended> {
    if (this.#run) this.stop();
    return new Promise((end) => {
      this.#run = { id: ++this.#runs, program, handlers, end };
      if (this.#ready) this.#begin();
      else if (!this.#worker) this.#boot();
    });
  }

  /** Ends the worker, whatever it does; the next run boots another. */
  stop(): void {
    if (this.#run) this.#fail("Stopped", "The program was stopped.");
  }

  #boot(): void {
    if (typeof WebAssembly !== "object") {
      this.#fail("NotRun", NO_WEBASSEMBLY);
      return;
    }
    const address = new URL("worker.js", this.base).href;
    let worker: Worker;
    try {
      worker = this.open(address);
    } catch (error) {
      this.#fail("NotRun", `${NO_WORKER} ${error instanceof Error ? error.message : error}`);
      return;
    }
    this.#worker = worker;
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      if (worker === this.#worker) this.#hear(data);
    };
    worker.onerror = (event) => {
      event.preventDefault?.();
      if (worker !== this.#worker) return;
      const what = this.#ready ? "Python broke" : "Python did not start";
      this.#fail("NotRun", event.message ? `${what}: ${event.message}` : unreachable(address));
    };
    this.#say({ kind: "boot", base: this.base });
  }

  #hear(message: FromWorker): void {
    const run = this.#run;
    switch (message.kind) {
      case "progress":
        if (!this.#ready) run?.handlers.progress?.(message.loaded, message.total);
        break;
      case "ready":
        this.#ready = true;
        if (run) this.#begin();
        this.keep(this.base);
        break;
      case "output":
        if (message.id === run?.id) run.handlers.output(message.stream, message.text);
        break;
      case "ended": {
        const { kind: _, id, ...ended } = message;
        if (id !== run?.id) break;
        if (ended.error?.name === "MemoryError") this.#discard(); // its memory does not shrink
        this.#end(ended);
        break;
      }
      case "broken":
        this.#fail("NotRun", message.text);
    }
  }

  #begin(): void {
    const run = this.#run;
    if (!run) return;
    const { name, text, files, record } = run.program;
    this.#slow = setTimeout(() => run.handlers.slow?.(), SLOW);
    run.handlers.started?.();
    this.#say({ kind: "run", id: run.id, name, text, files, record });
  }

  #fail(name: string, text: string): void {
    this.#discard();
    this.#end({ ok: false, error: { name, text, line: null } });
  }

  #end(ended: Ended): void {
    clearTimeout(this.#slow);
    const run = this.#run;
    this.#run = undefined;
    run?.end(ended);
  }

  #discard(): void {
    this.#worker?.terminate();
    this.#worker = undefined;
    this.#ready = false;
  }

  #say(message: ToWorker): void {
    this.#worker?.postMessage(message);
  }
}

function openWorker(address: string): Worker {
  return new Worker(address, { type: "module", name: "python" });
}
