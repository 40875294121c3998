// Compiles what a first run imports, so that the reader's browser need not: half of its start.
//   node frontend/bytecode.mjs FOLDER
// FOLDER holds pyodide/ and wheels/. The standard library's archive is written again, with bytecode
// beside the sources that are imported; bytecode.zip gets that of the wheels.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { loadPyodide } from "pyodide";

const folder = resolve(process.argv[2] ?? "");
const library = join(folder, "pyodide/python_stdlib.zip");
const python = await loadPyodide();
const packages = python.runPython("import site; site.getsitepackages()[0]");
for (const name of readdirSync(join(folder, "wheels")).sort()) {
  const wheel = new Uint8Array(readFileSync(join(folder, "wheels", name)));
  python.unpackArchive(wheel, "wheel", { extractDir: packages });
}
const source = new URL("src/runtime.py", import.meta.url);
python.FS.writeFile(`${packages}/happened_in_page.py`, readFileSync(source));
python.FS.writeFile("/library.zip", new Uint8Array(readFileSync(library)));
python.runPython(readFileSync(new URL("bytecode.py", import.meta.url), "utf8"));
writeFileSync(library, python.FS.readFile("/library.new.zip"));
writeFileSync(join(folder, "bytecode.zip"), python.FS.readFile("/bytecode.zip"));
