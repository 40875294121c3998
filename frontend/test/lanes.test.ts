import assert from "node:assert/strict";
import { test } from "node:test";
import { type Drawing, draw } from "../src/lanes.ts";
import type { Run, Step } from "../src/trace.ts";

const measure = (text: string) => text.length * 8;
const step = (kind: string, from: number, to: number, label = "", notes: string[] = []): Step => ({
  kind,
  text: "",
  from,
  to,
  label,
  solid: true,
  notes,
  messages: [],
  lines: [],
});
const lane = (name: string) => ({ kind: "handler" as const, name });
const RUN: Run = {
  lanes: ["caller", "Orders", "Order", "Notifications"].map(lane),
  steps: [
    step("received", 0, 0),
    step("handling", 0, 1, "ConfirmOrder"),
    step("persisted", 1, 2, "persist", ["OrderConfirmed", "StockRanLow"]),
    step("handling", 2, 3, "OrderConfirmed"),
    step("failed", 3, 3, "ConfigurationError"),
    step("handled", 1, 1),
  ],
};

/** Every text lies inside the drawing. */
function clipped({ width, rows, heads }: Drawing): string[] {
  const named = heads.map(({ name, x, width: box }) => ({ text: name, x, box }));
  const middle = [
    ...rows.flatMap(({ label, notes }) => [...(label ? [label] : []), ...notes]),
    ...named.filter(({ box }) => box),
  ];
  const slanted = named.filter(({ box }) => !box);
  return [
    ...middle.filter(({ text, x }) => Math.min(x, width - x) < measure(text) / 2),
    ...slanted.filter(({ text, x }) => x + measure(text) * Math.SQRT1_2 > width),
  ].map(({ text }) => text);
}

test("names stand side by side where there is room, and are slanted where there is not", () => {
  const wide = draw(RUN, 700, measure);
  assert.equal(wide.slanted, false);
  for (const [place, head] of wide.heads.entries()) {
    const before = wide.heads[place - 1];
    if (before) assert.ok(head.x - head.width / 2 > before.x + before.width / 2);
  }
  const narrow = draw(RUN, 300, measure);
  assert.equal(narrow.slanted, true);
  assert.equal(narrow.width, 300);
});

test("no text is clipped, however narrow the box", () => {
  for (const room of [0, 120, 200, 320, 390, 700, 1200]) {
    assert.deepEqual(clipped(draw(RUN, room, measure)), [], `in ${room}`);
    const long = {
      lanes: RUN.lanes.slice(0, 1),
      steps: [step("failed", 0, 0, "Error".repeat(30))],
    };
    assert.deepEqual(clipped(draw(long, room, measure)), [], `a long label in ${room}`);
  }
});

test("a drawing of many lanes is wider than a phone, and its lanes stay apart", () => {
  const lanes = Array.from({ length: 30 }, (_, number) => lane(`Handler${number}`));
  const { heads, width } = draw({ lanes, steps: [] }, 390, measure);
  assert.ok(width > 390);
  for (const [place, { x }] of heads.entries()) {
    if (place) assert.ok(x - (heads[place - 1]?.x ?? 0) >= 34);
  }
});

test("steps stand below each other, in order, each with its notes", () => {
  const { rows, height } = draw(RUN, 700, measure);
  let last = 0;
  for (const { y, notes } of rows) {
    assert.ok(y > last);
    last = Math.max(y, ...notes.map((note) => note.y));
    assert.ok(last < height);
  }
});

test("a handler's time lasts from its call to its end, or to the end of the drawing", () => {
  const { rows, bars, height } = draw(RUN, 700, measure);
  assert.deepEqual(
    bars.map(({ begun, bottom }) => [begun, bottom]),
    [
      [1, (rows[5]?.y ?? 0) + 4],
      [3, (rows[4]?.y ?? 0) + 4],
    ],
  );
  const open = draw({ lanes: RUN.lanes, steps: RUN.steps.slice(0, 2) }, 700, measure);
  assert.equal(open.bars[0]?.bottom, open.height);
  assert.ok(height > open.height);
});
