// The worker: boots Pyodide once, then runs programs one after the other.
import type { PyodideAPI } from "pyodide";
import { counting, found, garbled, LoadingError, type Progress, unreachable } from "./loading.ts";
import { lock } from "./lock.ts";
import type { FromWorker, Runtime, Stream, ToWorker } from "./protocol.ts";
import source from "./runtime.py";

type Run = (request: string, write: (stream: Stream, text: string) => void) => string;

/** The variables with which the guide's own outputs are made. */
const VARIABLES = { NO_COLOR: "1", COLUMNS: "80", TERM: "dumb" };

let run: Run | undefined;

const post = self.postMessage.bind(self); // which a program has no longer

const tell = (message: FromWorker) => post(message);

self.onmessage = async ({ data }: MessageEvent<ToWorker>) => {
  try {
    if (data.kind === "boot") {
      run = await boot(data.base, (loaded, total) => tell({ kind: "progress", loaded, total }));
      tell({ kind: "ready" });
    } else if (run) {
      const { kind: _, id, ...program } = data;
      const write = (stream: Stream, text: string) => tell({ kind: "output", id, stream, text });
      tell({ kind: "ended", id, ...JSON.parse(run(JSON.stringify(program), write)) });
    }
  } catch (error) {
    tell({ kind: "broken", text: run ? whileRunning(error) : whileBooting(error) });
  }
};

/** Loads everything at once, and gives the function that runs a program. */
async function boot(base: string, progress: Progress): Promise<Run> {
  const list = new URL("runtime.json", base).href;
  const listed = await found(fetch(list, { cache: "no-cache" }), list);
  const { python, wheels, bytes }: Runtime = await listed.json().catch(() => {
    throw new LoadingError(garbled(list));
  });
  const home = new URL(`${python}/`, base);
  const missed = watch(bytes, progress);
  const archives = Promise.all(
    [...wheels.map((name) => `wheels/${name}`), "bytecode.zip"].map(async (name) => {
      const answer = await fetch(new URL(name, home).href);
      return answer.arrayBuffer();
    }),
  );
  archives.catch(() => {}); // thrown below, unless Pyodide fails first
  const pyodide = await Promise.race([start(new URL("pyodide/", home).href), missed]);
  const packages: string = pyodide.runPython("import site; site.getsitepackages()[0]");
  for (const archive of await archives) {
    pyodide.unpackArchive(archive, "zip", { extractDir: packages });
  }
  pyodide.FS.writeFile(`${packages}/happened_in_page.py`, source);
  const { run } = pyodide.pyimport("happened_in_page");
  lock();
  return run;
}

/** Counts what Pyodide loads, too, and fails with the first file that it misses: it tells nobody. */
function watch(bytes: number, progress: Progress): Promise<never> {
  return new Promise((_, fail) => {
    const heard = <Made>(made: Promise<Made>): Promise<Made> => {
      made.catch(fail);
      return made;
    };
    const load = counting(self.fetch.bind(self), bytes, progress);
    self.fetch = (...asked) => heard(load(...asked));
    const make = WebAssembly.instantiateStreaming;
    WebAssembly.instantiateStreaming = (...given) => heard(make(...given));
  });
}

async function start(indexURL: string): Promise<PyodideAPI> {
  const address = `${indexURL}pyodide.mjs`;
  const { loadPyodide }: typeof import("pyodide") = await import(address).catch(() => {
    throw new LoadingError(unreachable(address));
  });
  return loadPyodide({ indexURL, env: VARIABLES, stdin: () => null }); // nobody types
}

function whileBooting(error: unknown): string {
  if (error instanceof LoadingError) return error.message;
  return (
    `Python did not start: ${messageOf(error)}. Reload the page and press Run again; if that ` +
    "does not help, update the browser, or download the program and run it with Python."
  );
}

function whileRunning(error: unknown): string {
  const reason =
    error instanceof RangeError
      ? "calls went deeper than the browser allows, perhaps without end"
      : messageOf(error);
  return `The program broke Python itself: ${reason}. The next run starts Python anew.`;
}

function messageOf(error: unknown): string {
  if (typeof error !== "object" || error === null) return String(error);
  const { message = "", name } = error as Partial<Error>;
  const last = message.trim().split("\n").at(-1) ?? ""; // of a traceback, what was raised
  return last.replace(/\.$/, "") || name || "it does not say why";
}
