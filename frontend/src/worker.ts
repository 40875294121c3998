// The worker: boots Pyodide once, then runs programs one after the other.
import type { PyodideAPI } from "pyodide";
import { counting, found, LoadingError, type Progress, unreachable } from "./loading.ts";
import type { FromWorker, Runtime, Stream, ToWorker } from "./protocol.ts";
import source from "./runtime.py";

type Run = (request: string, write: (stream: Stream, text: string) => void) => string;

/** The variables with which the guide's own outputs are made. */
const VARIABLES = { NO_COLOR: "1", COLUMNS: "80", TERM: "dumb" };

let run: Run | undefined;

const tell = (message: FromWorker) => postMessage(message);

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

// Emscripten's sockets would open them: a program has no network.
Object.assign(self, { WebSocket: undefined });

/** Loads everything at once, and gives the function that runs a program. */
async function boot(base: string, progress: Progress): Promise<Run> {
  const list = new URL("runtime.json", base).href;
  const listed = await found(fetch(list, { cache: "no-cache" }), list);
  const { wheels, bytes }: Runtime = await listed.json();
  self.fetch = counting(self.fetch.bind(self), bytes, progress); // Pyodide's own loading, too
  const archives = Promise.all(
    [...wheels.map((name) => `wheels/${name}`), "bytecode.zip"].map(async (name) => {
      const answer = await fetch(new URL(name, base).href, { cache: "no-cache" });
      return answer.arrayBuffer();
    }),
  );
  archives.catch(() => {}); // thrown below, unless Pyodide fails first
  const pyodide = await start(new URL("pyodide/", base).href);
  const packages: string = pyodide.runPython("import site; site.getsitepackages()[0]");
  for (const archive of await archives) {
    pyodide.unpackArchive(archive, "zip", { extractDir: packages });
  }
  pyodide.FS.writeFile(`${packages}/happened_in_page.py`, source);
  return pyodide.pyimport("happened_in_page").run;
}

async function start(indexURL: string): Promise<PyodideAPI> {
  const address = `${indexURL}pyodide.mjs`;
  const { loadPyodide }: typeof import("pyodide") = await import(address).catch(() => {
    throw new LoadingError(unreachable(address));
  });
  return loadPyodide({ indexURL, env: VARIABLES });
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
  return error instanceof Error ? error.message : String(error);
}
