// What is taken from a worker before a program runs in it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { lock } from "../src/lock.ts";

test("network and storage are gone, wherever they were inherited from", () => {
  class Scope {
    fetch() {}
    get caches() {
      return {};
    }
    close() {}
  }
  const navigator = Object.create({ storage: {}, locks: {}, language: "en" });
  const worker = Object.assign(new Scope(), { fetch: () => {}, postMessage: () => {}, navigator });
  lock(worker);
  for (const name of ["fetch", "caches", "postMessage", "close"])
    assert.ok(!(name in worker), name);
  assert.deepEqual(
    ["storage", "locks", "language"].filter((name) => name in navigator),
    ["language"],
  );
});

test("a worker from which something cannot be taken runs no program", () => {
  const worker = Object.defineProperty({}, "caches", { value: {} });
  assert.throws(() => lock(worker), /could reach caches/);
});
