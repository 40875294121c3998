// The drawing of a run as SVG, in which one step at a time is lit.
import { svg } from "./elements.ts";
import { type Drawing, draw, type Head, NOTE, type Row, SELF } from "./lanes.ts";
import type { Run, Step } from "./trace.ts";

const FONT = "600 13px Figtree, sans-serif";
const HEAD = 5; // half the width of an arrow's head

/** Draw a run into a box, as wide as the box is; what was there before is replaced. */
export function picture(run: Run, box: HTMLElement): Drawing {
  const pen = document.createElement("canvas").getContext("2d");
  if (pen) pen.font = FONT;
  const measure = (text: string) => Math.ceil(pen?.measureText(text).width ?? text.length * 8);
  const drawing = draw(run, Math.floor(box.clientWidth), measure);
  const { width, height, top } = drawing;
  box.replaceChildren(
    svg(
      "svg",
      {
        class: "lanes",
        role: "img",
        "aria-label": `Drawing of the run: ${run.steps.length} steps`,
        width,
        height,
        viewBox: `0 0 ${width} ${height}`,
      },
      ...drawing.heads.map(({ x }) =>
        svg("line", { class: "lanes__line", x1: x, x2: x, y1: top - 4, y2: height }),
      ),
      ...drawing.bars.map(({ x, top, bottom, begun }) =>
        svg("rect", {
          class: "lanes__bar",
          "data-begun": begun,
          x: x - 4,
          y: top,
          width: 8,
          height: bottom - top,
          rx: 2,
        }),
      ),
      ...drawing.heads.map((head, place) => headOf(head, place, drawing)),
      ...drawing.rows.map((row, place) => stepOf(row, run.steps[place] as Step, place, drawing)),
    ),
  );
  return drawing;
}

/** Light one step of a drawing: those before it have happened, those after it have not yet. */
export function light(box: HTMLElement, run: Run, at: number): void {
  for (const step of box.querySelectorAll<SVGElement>("[data-step]")) {
    const number = Number(step.dataset.step);
    step.classList.toggle("lanes__step--now", number === at);
    step.classList.toggle("lanes__step--later", number > at);
  }
  for (const bar of box.querySelectorAll<SVGElement>("[data-begun]")) {
    bar.classList.toggle("lanes__bar--later", Number(bar.dataset.begun) > at);
  }
  const { from, to } = run.steps[at] as Step;
  for (const head of box.querySelectorAll<SVGElement>("[data-lane]")) {
    const lane = Number(head.dataset.lane);
    head.classList.toggle("lanes__head--now", lane === from || lane === to);
  }
}

function headOf(head: Head, lane: number, { top, slanted }: Drawing): SVGElement {
  const { kind, name, x, width } = head;
  const group = { class: `lanes__head lanes__head--${kind}`, "data-lane": lane };
  const y = top - 10;
  if (!slanted) {
    const box = { x: x - width / 2, y: 1, width, height: NOTE, rx: 3 };
    return svg("g", group, svg("rect", box), svg("text", { x, y: 1 + NOTE / 2 + 4.5 }, name));
  }
  const turned = `translate(${x + 4} ${y - 8}) rotate(-45)`;
  return svg(
    "g",
    group,
    svg("rect", { x: x - 6, y: y - 6, width: 12, height: 12, rx: 2 }),
    svg("text", { transform: turned, class: "lanes__slanted" }, name),
  );
}

function stepOf(row: Row, step: Step, number: number, { width }: Drawing): SVGElement {
  const { label, notes } = row;
  const kind = `${step.solid ? "" : " lanes__step--event"}${step.kind === "failed" ? " lanes__step--failed" : ""}`;
  return svg(
    "g",
    { class: `lanes__step${kind}`, "data-step": number },
    ...arrow(row, step, width),
    ...(label ? [svg("text", { x: label.x, y: label.y }, label.text)] : []),
    ...notes.flatMap((note) => [
      svg("rect", {
        class: "lanes__note",
        x: note.x - note.width / 2,
        y: note.y - NOTE + 7,
        width: note.width,
        height: NOTE - 2,
        rx: 3,
      }),
      svg("text", { class: "lanes__note", x: note.x, y: note.y }, note.text),
    ]),
  );
}

function arrow(row: Row, step: Step, width: number): SVGElement[] {
  const { from, to, y } = row;
  if (!step.label || step.kind === "received") {
    return [svg("circle", { cx: from, cy: y, r: 4 })];
  }
  const back = from === to;
  const side = from + SELF > width ? -1 : 1;
  const ends = back ? y + 10 : y;
  const shape = back ? `M${from} ${y}h${SELF * side}v10H${to + 5 * side}` : line(from, to, y);
  const pointing = back ? -side : Math.sign(to - from);
  const tip = to - pointing * 4;
  const head =
    step.kind === "failed"
      ? `M${tip - HEAD} ${ends - HEAD}l${HEAD * 2} ${HEAD * 2}m0 ${-HEAD * 2}l${-HEAD * 2} ${HEAD * 2}`
      : `M${tip - pointing * HEAD * 1.6} ${ends - HEAD}L${tip} ${ends}l${-pointing * HEAD * 1.6} ${HEAD}`;
  return [
    svg("path", { class: "lanes__shaft", d: shape }),
    svg("path", { class: "lanes__tip", d: head }),
  ];
}

function line(from: number, to: number, y: number): string {
  const step = Math.sign(to - from) * 4;
  return `M${from + step} ${y}H${to - step}`;
}
