// Builds what runs programs in the reader's page, or its unit tests, which it then runs:
//   node frontend/build.mjs --out FOLDER
//   node frontend/build.mjs --test
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const shared = {
  absWorkingDir: here,
  bundle: true,
  format: "esm",
  target: "es2022",
  loader: { ".py": "text" },
  logLevel: "warning",
};

/** The page's script and the worker's share chunks; the service worker is one file without any. */
async function site(folder) {
  const made = { ...shared, outdir: folder, minify: true, sourcemap: true, legalComments: "none" };
  await build({
    ...made,
    entryPoints: ["src/main.ts", "src/worker.ts"],
    splitting: true,
    chunkNames: "chunks/[name]-[hash]",
  });
  await build({ ...made, entryPoints: ["src/sw.ts"], format: "iife", sourcemap: false });
}

/** Runs every test and returns Node's exit code. */
async function test() {
  const sources = readdirSync(join(here, "test")).filter((name) => name.endsWith(".test.ts"));
  if (sources.length === 0) throw new Error("frontend/test holds no test");
  const folder = mkdtempSync(join(here, "../node_modules/.frontend-test-")); // where packages are found
  try {
    await build({
      ...shared,
      entryPoints: sources.map((name) => `test/${name}`),
      outdir: folder,
      outExtension: { ".js": ".mjs" },
      platform: "node",
      packages: "external",
      sourcemap: "inline",
    });
    const files = sources.map((name) => join(folder, name.replace(/ts$/, "mjs")));
    return (
      spawnSync(process.execPath, ["--enable-source-maps", "--test", ...files], {
        stdio: "inherit",
      }).status ?? 1
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const [option, folder] = process.argv.slice(2);
try {
  if (option === "--out" && folder) await site(resolve(folder));
  else if (option === "--test") process.exitCode = await test();
  else throw new Error("usage: node frontend/build.mjs --out FOLDER | --test");
} catch (error) {
  if (!error.errors) console.error(error.message); // esbuild has said its own
  process.exitCode = 1;
}
