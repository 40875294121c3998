// Links that carry a program: there and back, and every way in which one can be wrong.
import assert from "node:assert/strict";
import { test } from "node:test";
import { deflateRawSync } from "node:zlib";
import {
  checksum,
  fromFragment,
  LinkError,
  LONGEST_LINK,
  LONGEST_PROGRAM,
  toFragment,
} from "../src/share.ts";

const PROGRAM = 'title = "Émile, œuvre 1 — 📚"\nprint(title)\n';

/** A fragment as somebody would forge it: any bytes, with a checksum that fits. */
function forged(bytes: Uint8Array): string {
  return `program=1.${checksum(bytes)}.${Buffer.from(bytes).toString("base64url")}`;
}

/** Asserts that a fragment is refused with a message for the reader. */
async function refused(fragment: string, message: RegExp): Promise<void> {
  await assert.rejects(fromFragment(fragment), (error) => {
    assert.ok(error instanceof LinkError, `${error}`);
    assert.match(error.message, message);
    return true;
  });
}

test("a program comes back as it was", async () => {
  for (const program of [PROGRAM, "", "\ufeffprint(1)", "a\r\nb\0\n", "x = 1\n".repeat(10_000)]) {
    const fragment = await toFragment(program);
    assert.match(fragment, /^program=1\.[0-9a-f]{8}\.[\w-]+$/);
    assert.equal(await fromFragment(fragment), program);
    assert.equal(await fromFragment(`#${fragment}`), program);
  }
});

test("a fragment of another kind carries no program", async () => {
  assert.equal(await fromFragment(""), null);
  assert.equal(await fromFragment("#the-whole-program"), null);
});

test("a link that was cut anywhere is refused", async () => {
  const fragment = await toFragment(PROGRAM);
  for (let length = "program=".length; length < fragment.length; length++) {
    await refused(fragment.slice(0, length), /damaged/);
  }
});

test("a link in which one character was changed is refused", async () => {
  const fragment = await toFragment(PROGRAM);
  for (let at = "program=1.".length; at < fragment.length; at++) {
    const other = fragment[at] === "a" ? "b" : "a";
    await refused(fragment.slice(0, at) + other + fragment.slice(at + 1), /damaged/);
  }
  await refused(`${fragment}.more`, /damaged/);
  await refused(`${fragment}%20`, /damaged/);
});

test("a forged link whose checksum fits is refused where it holds no text", async () => {
  await refused(forged(Buffer.from("not deflated at all")), /damaged/);
  await refused(forged(deflateRawSync(Buffer.from([0xff, 0xfe, 0xfd]))), /damaged/);
});

test("a link that would unpack to very much is refused before it does", async () => {
  const bomb = forged(deflateRawSync(Buffer.alloc(11_000_000)));
  assert.ok(bomb.length < LONGEST_LINK);
  const memory = process.memoryUsage().arrayBuffers;
  await refused(bomb, /longer program/);
  assert.ok(process.memoryUsage().arrayBuffers - memory < 5_000_000);
  await refused(`program=1.00000000.${"a".repeat(LONGEST_LINK)}`, /longer program/);
});

test("a link of another version says so", async () => {
  await refused("program=2.00000000.abc", /version 2.*version 1/);
  await refused("program=.00000000.abc", /damaged/);
});

test("a program too long for a link is not made into one", async () => {
  await assert.rejects(toFragment("a".repeat(LONGEST_PROGRAM + 1)), LinkError);
  const noise = Array.from({ length: 20_000 }, (_, at) =>
    checksum(Uint8Array.of(at, at >> 8)),
  ).join("");
  await assert.rejects(toFragment(noise.slice(0, 60_000)), LinkError);
});

test("the checksum is the CRC-32 that everybody else computes", () => {
  assert.equal(checksum(new TextEncoder().encode("123456789")), "cbf43926");
});

test("a browser that cannot pack programs is told of, and no link is called damaged", async (t) => {
  const fragment = await toFragment(PROGRAM);
  const found = { CompressionStream, DecompressionStream };
  t.after(() => Object.assign(globalThis, found));
  Object.assign(globalThis, { CompressionStream: undefined, DecompressionStream: undefined });
  await refused(fragment, /browser is too old/);
  await assert.rejects(toFragment(PROGRAM), /browser is too old/);
});
