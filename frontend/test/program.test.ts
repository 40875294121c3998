// Which row of a block shows a line, which lines are folded, and how figures are said.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Lines,
  linesToFold,
  megabytes,
  type Program,
  rowOf,
  seconds,
} from "../src/program.ts";

const TEXT = `import os

class Shelf:

    def add(self):
        raise ValueError

    def take(self):
        pass

print(os.name)
`;
const SECTIONS: Record<string, Lines> = { add: [4, 7], run: [10, 11] };
const program: Program = {
  name: "shelf.py",
  text: TEXT,
  sections: SECTIONS,
  files: {},
  output: "",
  trace: null,
  foldable: null,
};

test("a line of the program is found in the block of its section", () => {
  const shown = "def add(self):\n    raise ValueError\n";
  assert.equal(rowOf(program, "add", shown, 5), 0);
  assert.equal(rowOf(program, "add", shown, 6), 1);
});

test("a line outside the section has no row there", () => {
  const shown = "def add(self):\n    raise ValueError\n";
  for (const line of [1, 3, 4, 7, 8, 11, 99]) {
    assert.equal(rowOf(program, "add", shown, line), null, `line ${line}`);
  }
});

test("a block of the whole program has every line", () => {
  for (const line of [1, 3, 6, 9, 11]) assert.equal(rowOf(program, null, TEXT, line), line - 1);
});

test("a row that reads otherwise is not taken for the line", () => {
  assert.equal(rowOf(program, "run", "print(os.sep)\n", 11), null);
  assert.equal(rowOf(program, "run", "print(os.name)\n", 11), 0);
});

test("what is folded never hides the section", () => {
  assert.deepEqual(linesToFold([1, 20], null), [1, 20]);
  assert.deepEqual(linesToFold([1, 20], [30, 40]), [1, 20]);
  assert.deepEqual(linesToFold([1, 20], [10, 40]), [1, 9]);
  assert.equal(linesToFold([1, 20], [2, 40]), null);
  assert.equal(linesToFold([3, 3], null), null);
  assert.equal(linesToFold(null, [2, 40]), null);
});

test("figures are said as a reader wants them", () => {
  assert.equal(seconds(3), "0.01\u00a0s");
  assert.equal(seconds(244), "0.24\u00a0s");
  assert.equal(seconds(999), "1.0\u00a0s");
  assert.equal(seconds(3249), "3.2\u00a0s");
  assert.equal(megabytes(3_100_000, 12_400_000), "3.1 of 12.4\u00a0MB");
  assert.equal(megabytes(13_000_000, 12_400_000), "13.0 of 13.0\u00a0MB");
});
