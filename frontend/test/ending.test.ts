// What the reader is told of the end of a run.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ending } from "../src/ending.ts";

const failed = (name: string, line: number | null) => ({
  ok: false,
  error: { name, text: `${name}: no`, line },
});

test("a program that ran is told to have run", () => {
  const said = "the whole program ran in 0.1 s";
  assert.deepEqual(ending({ ok: true }, true, "0.1 s", "1\n"), ["ended", said]);
  const nothing = `${said} and printed nothing`;
  assert.deepEqual(ending({ ok: true }, true, "0.1 s", ""), ["ended", nothing]);
});

test("the exit status is told when it is not 0", () => {
  assert.deepEqual(ending({ ok: false, status: 3 }, true, "0.1 s", ""), [
    "failed",
    "the whole program left with exit status 3, after 0.1 s",
  ]);
});

test("the line of a failure is told, if there is one", () => {
  assert.deepEqual(ending(failed("KeyError", 2), true, "0.1 s", ""), [
    "failed",
    "the whole program failed in line 2, after 0.1 s",
  ]);
  assert.deepEqual(ending(failed("KeyError", null), true, "0.1 s", ""), [
    "failed",
    "the whole program failed, after 0.1 s",
  ]);
});

test("a run that was stopped, broke Python or never began is told as that", () => {
  const stopped = ["stopped", "was stopped after 2 s"];
  assert.deepEqual(ending(failed("Stopped", null), true, "2 s", ""), stopped);
  const broke = ["failed", "broke Python, after 2 s"];
  assert.deepEqual(ending(failed("NotRun", null), true, "2 s", ""), broke);
  assert.deepEqual(ending(failed("NotRun", null), false, "2 s", ""), ["failed", "did not run"]);
});
