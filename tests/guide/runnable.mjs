// Runs programs in Pyodide as a page's worker does, each in turn, and prints how each ended.
//   node tests/guide/runnable.mjs FOLDER RUNTIME PROGRAMS
// FOLDER has pyodide/ and wheels/, RUNTIME is frontend/src/runtime.py; PROGRAMS and what is printed
// are JSON.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, runtime, programs] = process.argv.slice(2);
const home = join(folder, "pyodide/");
const { loadPyodide } = await import(pathToFileURL(join(home, "pyodide.mjs")));
const pyodide = await loadPyodide({
  indexURL: home,
  env: { NO_COLOR: "1", COLUMNS: "80", TERM: "dumb" },
});
const packages = pyodide.runPython("import sysconfig; sysconfig.get_path('purelib')");
for (const wheel of readdirSync(join(folder, "wheels"))) {
  const bytes = new Uint8Array(readFileSync(join(folder, "wheels", wheel)));
  pyodide.unpackArchive(bytes, "wheel", { extractDir: packages });
}
pyodide.FS.writeFile(`${packages}/happened_in_page.py`, readFileSync(runtime, "utf-8"));
const { run } = pyodide.pyimport("happened_in_page");

const ended = JSON.parse(readFileSync(programs, "utf-8")).map((program) => {
  let output = "";
  const request = JSON.stringify({ ...program, record: false });
  const end = JSON.parse(run(request, (_, text) => (output += text)));
  return { output, error: end.error?.text ?? "" };
});
process.stdout.write(JSON.stringify(ended));
