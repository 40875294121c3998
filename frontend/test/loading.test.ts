// What is counted while files come, and what is said when one does not.
import assert from "node:assert/strict";
import { test } from "node:test";
import { counting, found } from "../src/loading.ts";

const WHEEL = "https://guide.example/assets/run/wheels/a.whl";

test("bytes are counted as they come, up to the total", async () => {
  const told: number[] = [];
  const load = counting(
    async () => new Response("12345"),
    8,
    (loaded) => told.push(loaded),
  );
  assert.equal(await (await load(WHEEL)).text(), "12345");
  assert.equal(await (await load(WHEEL)).text(), "12345");
  await new Promise((later) => setTimeout(later));
  assert.deepEqual([told[0], told.at(-1)], [5, 8]);
});

test("a file that the site does not have is named, with the answer", async () => {
  const load = counting(
    async () => new Response("", { status: 404 }),
    8,
    () => {},
  );
  await assert.rejects(load(WHEEL), /should have a\.whl, and answered 404\. Reload the page/);
});

test("a file that cannot be reached is named, with what to do", async () => {
  const asked = Promise.reject(new TypeError("Failed to fetch"));
  await assert.rejects(found(asked, WHEEL), /a\.whl could not be loaded.*Check the connection/);
});
