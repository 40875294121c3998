// What the page asks of the service worker, and what it does without one.
import assert from "node:assert/strict";
import { test } from "node:test";
import { keepForOffline } from "../src/offline.ts";

const BASE = "https://guide.example/happened/assets/run/";

/** Gives the page a `navigator.serviceWorker`, as a getter. */
function given(get: () => unknown): void {
  Object.defineProperty(globalThis, "navigator", {
    configurable: true,
    value: Object.defineProperty({}, "serviceWorker", { get }),
  });
}

test("the page and what it loaded are kept by the service worker of the site", async () => {
  Object.assign(globalThis, { location: { href: "https://guide.example/happened/a/#b" } });
  const registered: string[] = [];
  const told: unknown[] = [];
  const active = { postMessage: (message: unknown) => told.push(message) };
  const register = async (address: URL) => registered.push(address.href);
  given(() => ({ register, ready: Promise.resolve({ active }) }));
  await keepForOffline(BASE);
  assert.deepEqual(registered, ["https://guide.example/happened/sw.js"]);
  assert.deepEqual(told, [{ kind: "keep", addresses: ["https://guide.example/happened/a/#b"] }]);
});

test("a browser that has no service workers, or forbids them, is left in peace", async () => {
  given(() => undefined);
  await keepForOffline(BASE);
  given(() => {
    throw new DOMException("The document is sandboxed", "SecurityError");
  });
  await keepForOffline(BASE);
  given(() => ({ register: () => Promise.reject(new DOMException("no", "SecurityError")) }));
  await keepForOffline(BASE);
});
