// Where everything of a run's drawing stands: a lane for each who takes part, a row for each step.
import type { Lane, Run, Step } from "./trace.ts";

export interface Head extends Lane {
  x: number;
  width: number; // of the box around the name; 0 where the name is slanted
}

export interface Row {
  from: number;
  to: number; // equal to `from` for a step that stays in its lane
  y: number; // of the arrow
  label: Text | null;
  notes: (Text & { width: number })[];
}

export interface Text {
  text: string;
  x: number; // of its middle
  y: number; // of its baseline
}

export interface Bar {
  x: number;
  top: number;
  bottom: number;
  begun: number; // the step that begins it
}

export interface Drawing {
  width: number;
  height: number;
  top: number; // where the lanes begin, below the heads
  slanted: boolean;
  heads: Head[];
  rows: Row[];
  bars: Bar[]; // while a handler runs
}

export const LINE = 20; // the height of a line of text
export const NOTE = 24; // the height of a note
export const SELF = 26; // how far an arrow leaves its lane that leads back to it
const GAP = 34; // between slanted lanes, at least
const EDGE = 10;

/** Lay a run out in a width; `measure` gives the width of a text. */
export function draw(run: Run, room: number, measure: (text: string) => number): Drawing {
  const { xs, widths, slanted, ...lanes } = spread(run.lanes, room, measure);
  const texts = run.steps.flatMap((step) => [step.label, ...step.notes]).map(measure);
  const width = Math.max(lanes.width, ...texts.map((text) => text + NOTE));
  const longest = Math.max(0, ...run.lanes.map((lane) => measure(lane.name)));
  const top = slanted ? Math.ceil((longest + EDGE) * Math.SQRT1_2) + LINE : NOTE + EDGE;
  const at = (lane: number) => xs[lane] ?? 0;
  const within = (text: string, x: number, pad: number) => {
    const half = measure(text) / 2 + pad;
    return Math.max(half + 1, Math.min(width - half - 1, x));
  };

  let y = top;
  const rows = run.steps.map((step): Row => {
    const [from, to] = [at(step.from), at(step.to)];
    y += step.label ? LINE + EDGE : LINE;
    const arrow = y;
    const middle = within(step.label, from === to ? from : (from + to) / 2, 2);
    const label = step.label ? { text: step.label, x: middle, y: arrow - 7 } : null;
    if (label && from === to && step.kind !== "received") y += LINE / 2;
    const notes = step.notes.map((text) => {
      y += NOTE + 4;
      return { text, x: within(text, to, 8), y: y - 4, width: measure(text) + 16 };
    });
    return { from, to, y: arrow, label, notes };
  });
  const height = y + LINE;
  const heads = run.lanes.map((lane, place) => ({
    ...lane,
    x: at(place),
    width: widths[place] ?? 0,
  }));
  return { width, height, top, slanted, heads, rows, bars: bars(run.steps, rows, height) };
}

/** Spread the lanes: names side by side where there is room for them, else slanted. */
function spread(lanes: Lane[], room: number, measure: (text: string) => number) {
  const boxes = lanes.map((lane) => Math.ceil(measure(lane.name)) + 18);
  const needed = boxes.reduce((sum, box) => sum + box + EDGE, -EDGE) + 2;
  if (needed <= room) {
    const slack = lanes.length > 1 ? (room - needed) / (lanes.length - 1) : 0;
    let left = 1;
    const xs = boxes.map((box) => {
      const x = left + box / 2;
      left += box + EDGE + slack;
      return x;
    });
    return { xs, width: room, widths: boxes, slanted: false };
  }
  const last = measure(lanes.at(-1)?.name ?? "");
  const beyond = Math.ceil((last + EDGE) * Math.SQRT1_2) + EDGE;
  const gap = Math.max(GAP, (room - EDGE * 2 - beyond) / Math.max(1, lanes.length - 1));
  const xs = lanes.map((_, place) => EDGE * 2 + place * gap);
  const width = Math.max(room, EDGE * 2 + (lanes.length - 1) * gap + beyond);
  return { xs, width, widths: lanes.map(() => 0), slanted: true };
}

/** The time of each call of a handler, from its call to its end; calls may be nested. */
function bars(steps: Step[], rows: Row[], bottom: number): Bar[] {
  const found: Bar[] = [];
  let open: Bar[] = []; // the innermost first
  steps.forEach((step, place) => {
    const { from, to, y } = rows[place] as Row;
    if (step.kind === "handling") {
      const bar = { x: to, top: y - 4, bottom, begun: place };
      found.push(bar);
      open.unshift(bar);
    } else if (step.kind === "handled" || step.kind === "failed") {
      const done = open.find((bar) => bar.x === from);
      if (done) done.bottom = y + 4;
      open = open.filter((bar) => bar !== done);
    }
  });
  return found;
}
