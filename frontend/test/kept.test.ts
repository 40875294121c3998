// What the service worker keeps and gives back, with the browser's caches and network as a test says.
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Kept } from "../src/kept.ts";

const ROOT = "https://guide.example/happened/";
const RUN = `${ROOT}assets/run/`;
const FILES = ["main.js", "worker.js", "chunks/block-AB12.js", "python-0a1b/bytecode.zip"];

let online: Record<string, string>; // what the site answers, by address
let asked: [address: string, how: RequestCache][];
let full: boolean; // whether the browser refuses to keep more
const stored = new Map<string, Map<string, Response>>();

function opened(name: string) {
  const entries = stored.get(name) ?? new Map<string, Response>();
  stored.set(name, entries);
  const put = async (key: string, answer: Response) => {
    if (full) throw new DOMException("no room", "QuotaExceededError");
    entries.set(key, answer);
  };
  const addAll = async (requests: Request[]) => {
    for (const request of requests) {
      const answer = await fetch(request);
      if (!answer.ok) throw new TypeError(request.url);
      await put(request.url, answer);
    }
  };
  return { put, addAll };
}

Object.assign(globalThis, {
  caches: {
    open: async (name: string) => opened(name),
    keys: async () => [...stored.keys()],
    delete: async (name: string) => stored.delete(name),
    match: async (address: string) => {
      const found = [...stored.values()].map((entries) => entries.get(address)).find(Boolean);
      return found?.clone();
    },
  },
  fetch: async (input: Request | string, init?: RequestInit) => {
    const request = input instanceof Request ? input : new Request(input, init);
    asked.push([request.url, request.cache]);
    const text = online[request.url.replace(/[?#].*/, "")];
    if (text === undefined) throw new TypeError("Failed to fetch");
    return new Response(text);
  },
});

/** Publishes a release of the site, whose files say which one they are of. */
function publish(version: string, files = FILES): void {
  online = { [`${RUN}runtime.json`]: JSON.stringify({ version, files }), [ROOT]: version };
  for (const file of files) online[RUN + file] = `${file} of ${version}`;
}

const get = async (kept: Kept, address: string) => (await kept.answer(new Request(address))).text();

beforeEach(() => {
  stored.clear();
  asked = [];
  full = false;
  publish("one");
});

test("a release is kept as a whole and answers without a network", async () => {
  const kept = new Kept(ROOT, "one");
  await kept.keepRelease();
  online = {};
  for (const file of FILES) assert.equal(await get(kept, RUN + file), `${file} of one`);
  assert.match(await get(kept, `${RUN}runtime.json`), /"version":"one"/);
});

test("what never changes is asked for once, all else of the network first", async () => {
  const kept = new Kept(ROOT, "one");
  await kept.keepRelease();
  const how = Object.fromEntries(asked);
  assert.equal(how[`${RUN}python-0a1b/bytecode.zip`], "force-cache"); // the browser has just had it
  assert.equal(how[`${RUN}worker.js`], "no-cache");
  asked = [];
  for (const file of FILES) await get(kept, RUN + file);
  assert.deepEqual(
    asked.map(([address]) => address),
    [`${RUN}main.js`, `${RUN}worker.js`],
  );
});

test("a release that is not the one expected is not kept", async () => {
  publish("older");
  await assert.rejects(
    new Kept(ROOT, "one").keepRelease(),
    /expected the release one, found older/,
  );
  assert.equal(stored.size, 0);
});

test("a release of which a file is missing is not kept", async () => {
  delete online[`${RUN}worker.js`];
  await assert.rejects(new Kept(ROOT, "one").keepRelease());
  assert.equal(await caches.match(`${RUN}runtime.json`), undefined);
});

test("a new release is kept beside the old one, which then goes; the pages stay", async () => {
  const [one, two] = [new Kept(ROOT, "one"), new Kept(ROOT, "two")];
  await one.keepRelease();
  await get(one, ROOT);
  publish("two", ["main.js", "worker.js", "chunks/block-CD34.js", "python-9f9f/bytecode.zip"]);
  await two.keepRelease();
  assert.equal(await get(one, `${RUN}main.js`), "main.js of two"); // as the page that asks for it
  assert.equal(await get(one, `${RUN}chunks/block-AB12.js`), "chunks/block-AB12.js of one");
  assert.equal(await get(one, `${RUN}python-9f9f/bytecode.zip`), "python-9f9f/bytecode.zip of two");
  stored.set("happened https://guide.example/other/ run one", new Map());
  stored.set("of somebody else", new Map());
  await two.dropOthers();
  assert.deepEqual(
    [...stored.keys()].sort(),
    [
      `happened ${ROOT} pages`,
      `happened ${ROOT} run two`,
      "happened https://guide.example/other/ run one",
      "of somebody else",
    ].sort(),
  );
  online = {};
  assert.equal(await get(two, ROOT), "one");
  await assert.rejects(get(two, `${RUN}chunks/block-AB12.js`));
});

test("a page is kept once, whatever was searched for on it", async () => {
  const kept = new Kept(ROOT, "one");
  for (const query of ["", "?h=event", "?h=command"]) await get(kept, ROOT + query);
  assert.deepEqual([...(stored.get(`happened ${ROOT} pages`)?.keys() ?? [])], [ROOT]);
  online = {};
  assert.equal(await get(kept, `${ROOT}?h=other`), "one");
});

test("a page comes although there is no room to keep it", async () => {
  full = true;
  assert.equal(await get(new Kept(ROOT, "one"), ROOT), "one");
});

test("a page that is neither kept nor to be had is told of, and nothing else is made up", async () => {
  online = {};
  const kept = new Kept(ROOT, "one");
  const page = { url: `${ROOT}other/`, mode: "navigate", method: "GET" } as Request;
  const answer = await kept.answer(page);
  assert.equal(answer.status, 503);
  assert.match(await answer.text(), /was not visited before/);
  await assert.rejects(get(kept, `${ROOT}style.css`));
});

test("the pages of other sites are left alone", async () => {
  const kept = new Kept(ROOT, "one");
  assert.ok(kept.answers(`${ROOT}building-blocks/`));
  assert.ok(!kept.answers("https://guide.example/other/"));
  online["https://elsewhere.example/"] = "not ours";
  await kept.keepPages([ROOT, `${RUN}main.js`, "https://elsewhere.example/", `${ROOT}missing`]);
  assert.deepEqual([...(stored.get(`happened ${ROOT} pages`)?.keys() ?? [])], [ROOT]);
});
