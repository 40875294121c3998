// The session, with a worker that does what a test says.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { FromWorker, ToWorker } from "../src/protocol.ts";
import { Session, SLOW } from "../src/session.ts";

const BASE = "https://guide.example/happened/assets/run/";
const PROGRAM = { name: "a.py", text: "print(1)", files: {}, record: false };

class FakeWorker {
  heard: ToWorker[] = [];
  ended = false;
  onmessage: (event: { data: FromWorker }) => void = () => {};
  onerror: (event: { message?: string }) => void = () => {};
  constructor(readonly address: string) {}
  postMessage(message: ToWorker) {
    this.heard.push(message);
  }
  terminate() {
    this.ended = true;
  }
  say(data: FromWorker) {
    this.onmessage({ data });
  }
}

function begin() {
  const workers: FakeWorker[] = [];
  const kept: string[] = [];
  const said: string[] = [];
  const session = new Session(
    BASE,
    (address) => {
      workers.push(new FakeWorker(address));
      return workers.at(-1) as unknown as Worker;
    },
    (base) => kept.push(base),
  );
  const handlers = {
    progress: (loaded: number, total: number) => said.push(`${loaded} of ${total}`),
    started: () => said.push("started"),
    output: (stream: string, text: string) => said.push(`${stream}: ${text}`),
    slow: () => said.push("slow"),
  };
  const worker = (number = 0): FakeWorker => {
    const found = workers[number];
    assert.ok(found, `no worker ${number}`);
    return found;
  };
  return { session, workers, worker, kept, said, handlers };
}

test("the first run boots a worker, and the next one uses it", async () => {
  const { session, workers, worker, kept, said, handlers } = begin();
  const first = session.run(PROGRAM, handlers);
  assert.equal(worker().address, `${BASE}worker.js`);
  assert.deepEqual(worker().heard, [{ kind: "boot", base: BASE }]);
  worker().say({ kind: "progress", loaded: 1, total: 2 });
  assert.deepEqual(kept, []);
  worker().say({ kind: "ready" });
  assert.deepEqual(kept, [BASE]);
  assert.deepEqual(worker().heard[1], { kind: "run", id: 1, ...PROGRAM });
  worker().say({ kind: "output", id: 1, stream: "out", text: "1\n" });
  worker().say({ kind: "ended", id: 1, ok: true });
  assert.deepEqual(await first, { ok: true });
  assert.deepEqual(said, ["1 of 2", "started", "out: 1\n"]);
  const second = session.run(PROGRAM, handlers);
  worker().say({ kind: "ended", id: 2, ok: true });
  assert.deepEqual(await second, { ok: true });
  assert.equal(workers.length, 1);
});

test("stop ends the worker, and the next run boots another", async () => {
  const { session, worker, said, handlers } = begin();
  const run = session.run(PROGRAM, handlers);
  worker().say({ kind: "ready" });
  session.stop();
  assert.equal((await run).error?.name, "Stopped");
  assert.ok(worker().ended);
  worker().say({ kind: "output", id: 1, stream: "out", text: "late" });
  assert.deepEqual(said, ["started"]);
  session.run(PROGRAM, handlers);
  assert.deepEqual(worker(1).heard, [{ kind: "boot", base: BASE }]);
  session.stop();
});

test("stop without a run keeps the worker", async () => {
  const { session, worker, handlers } = begin();
  const run = session.run(PROGRAM, handlers);
  worker().say({ kind: "ready" });
  worker().say({ kind: "ended", id: 1, ok: true });
  await run;
  session.stop();
  assert.equal(worker().ended, false);
});

test("a run stops the one before it", async () => {
  const { session, worker, handlers } = begin();
  const first = session.run(PROGRAM, handlers);
  worker().say({ kind: "ready" });
  const second = session.run(PROGRAM, handlers);
  assert.equal((await first).error?.name, "Stopped");
  worker(1).say({ kind: "ready" });
  worker(1).say({ kind: "ended", id: 2, ok: true });
  assert.deepEqual(await second, { ok: true });
});

test("a worker that breaks ends its run, and the next run boots another", async () => {
  const { session, worker, handlers } = begin();
  const run = session.run(PROGRAM, handlers);
  worker().say({ kind: "broken", text: "no wheels" });
  assert.deepEqual((await run).error, { name: "NotRun", text: "no wheels", line: null });
  assert.ok(worker().ended);
  session.run(PROGRAM, handlers);
  assert.equal(worker(1).heard.length, 1);
  session.stop();
});

test("a worker that cannot be loaded is told of with its file", async () => {
  const { session, worker, handlers } = begin();
  const run = session.run(PROGRAM, handlers);
  worker().onerror({});
  const text = (await run).error?.text ?? "";
  assert.match(text, /worker\.js could not be loaded.*Check the connection and press Run again/);
});

test("a run that used up the memory takes its worker with it", async () => {
  const { session, worker, handlers } = begin();
  const run = session.run(PROGRAM, handlers);
  worker().say({ kind: "ready" });
  const error = { name: "MemoryError", text: "MemoryError", line: 1 };
  worker().say({ kind: "ended", id: 1, ok: false, error });
  assert.deepEqual(await run, { ok: false, error });
  assert.ok(worker().ended);
});

test("a browser without WebAssembly is told what to do, and boots nothing", async (t) => {
  const found = globalThis.WebAssembly;
  t.after(() => {
    globalThis.WebAssembly = found;
  });
  Object.assign(globalThis, { WebAssembly: undefined });
  const { session, workers, handlers } = begin();
  const ended = await session.run(PROGRAM, handlers);
  assert.match(ended.error?.text ?? "", /WebAssembly.*Update or change the browser/);
  assert.equal(workers.length, 0);
});

test("a browser that allows no worker is told so, and the next run tries again", async () => {
  let allowed = false;
  const session = new Session(
    BASE,
    () => {
      if (!allowed) throw new Error("not here");
      return new FakeWorker("") as unknown as Worker;
    },
    () => {},
  );
  const ended = await session.run(PROGRAM, { output: () => {} });
  assert.equal(ended.error?.name, "NotRun");
  assert.match(ended.error?.text ?? "", /does not allow.*not here/);
  allowed = true;
  const next = session.run(PROGRAM, { output: () => {} });
  session.stop();
  assert.equal((await next).error?.name, "Stopped");
});

test("what runs is told of within two seconds of the press", () => {
  assert.ok(SLOW < 1_900);
});

test("a program that runs for long is told of once, counted from its beginning", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { session, worker, said, handlers } = begin();
  session.run(PROGRAM, handlers);
  t.mock.timers.tick(5_000);
  worker().say({ kind: "ready" });
  t.mock.timers.tick(SLOW - 1);
  assert.deepEqual(said, ["started"]);
  t.mock.timers.tick(1);
  assert.deepEqual(said, ["started", "slow"]);
  worker().say({ kind: "ended", id: 1, ok: true });
  session.run(PROGRAM, handlers);
  worker().say({ kind: "ended", id: 2, ok: true });
  t.mock.timers.tick(5_000);
  assert.deepEqual(said, ["started", "slow", "started"]);
});

test("what is loaded after Python is there is no news", async () => {
  const { session, worker, said, handlers } = begin();
  session.run(PROGRAM, handlers);
  worker().say({ kind: "ready" });
  worker().say({ kind: "progress", loaded: 2, total: 2 });
  assert.deepEqual(said, ["started"]);
  session.stop();
});

test("a worker that breaks while it runs did start", async () => {
  const { session, worker, handlers } = begin();
  const run = session.run(PROGRAM, handlers);
  worker().say({ kind: "ready" });
  worker().onerror({ message: "Uncaught Error" });
  assert.equal((await run).error?.text, "Python broke: Uncaught Error");
  assert.ok(worker().ended);
});
