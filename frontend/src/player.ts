// Plays a run: for each step a sentence, an arrow in a drawing, and the lines of the program.
import { html } from "./elements.ts";
import { goTo, lightLines, type Shown, shownOn } from "./lit.ts";
import { light, picture } from "./picture.ts";
import { type Lines, loadProgram, type Program } from "./program.ts";
import { follow, type Message, named, type Recorded, type Run, type Step } from "./trace.ts";

const LONGEST = 500; // steps; a reader's own run may have more
const VALUE = 60; // characters that are shown of a value

/** A program that ran; `path` is there if the page's blocks show it as it ran. */
interface Played {
  name: string;
  text: string;
  onPage?: { path: string; program: Program };
}

/** Plays the run that was recorded when the guide was made, in place of its drawing. */
export async function playRecorded(
  start: HTMLElement,
  diagram: HTMLElement,
  assets: string,
): Promise<void> {
  const path = diagram.dataset.trace ?? "";
  const program = await loadProgram(assets, path);
  const played = { name: program.name, text: program.text, onPage: { path, program } };
  play(played, program.trace ?? [], "Player: what happened, step by step", start, diagram);
}

/** Plays a reader's own run, in place of the button that starts it. */
export function showTrace(
  program: { name: string; text: string },
  trace: readonly Recorded[],
  start: HTMLElement,
): void {
  play(program, trace, "Player: what happened in your run, step by step", start);
}

function play(
  played: Played,
  trace: readonly Recorded[],
  name: string,
  ...replaced: HTMLElement[]
): void {
  const player = new Player(played, trace, name, () => {
    for (const element of replaced) element.hidden = false;
    replaced[0]?.querySelector("button")?.focus();
  });
  for (const element of replaced) element.hidden = true;
  replaced[0]?.after(player.element);
  player.show(0);
  player.focus();
}

class Player {
  readonly run: Run;
  readonly element: HTMLElement;
  private at = 0;
  private readonly said = html("div", { class: "player__said", role: "status" });
  private readonly drawing = html("div", { class: "player__drawing" });
  private readonly lines = html("div", { class: "player__lines" });
  private readonly buttons = {
    First: html("button", { type: "button", class: "run__button" }, "First"),
    Back: html("button", { type: "button", class: "run__button" }, "Back"),
    Next: html("button", { type: "button", class: "run__button" }, "Next"),
    Last: html("button", { type: "button", class: "run__button" }, "Last"),
    Close: html("button", { type: "button", class: "run__button player__close" }, "Close"),
  };

  constructor(
    private readonly played: Played,
    trace: readonly Recorded[],
    name: string,
    private readonly closed: () => void,
  ) {
    this.run = follow(trace.slice(0, LONGEST), played.text);
    const { First, Back, Next, Last, Close } = this.buttons;
    const bar = html("div", { class: "player__bar" }, First, Back, Next, Last, Close);
    this.element = html(
      "section",
      { class: "player", "aria-label": name },
      bar,
      this.said,
      this.drawing,
      this.lines,
    );
    if (trace.length > LONGEST) {
      const cut = `Of ${trace.length} steps, these are the first ${LONGEST}.`;
      bar.after(html("p", { class: "player__cut" }, cut));
    }
    First.onclick = () => this.show(0);
    Back.onclick = () => this.show(this.at - 1);
    Next.onclick = () => this.show(this.at + 1);
    Last.onclick = () => this.show(this.run.steps.length - 1);
    Close.onclick = () => this.close();
    this.element.onkeydown = (event) => this.pressed(event);
    new ResizeObserver(() => this.draw()).observe(this.drawing);
  }

  focus(): void {
    this.buttons.Next.focus();
  }

  /** Show a step, counted from 0; before the first and after the last there is none. */
  show(at: number): void {
    const step = this.run.steps[at];
    if (!step) return;
    this.at = at;
    const { First, Back, Next, Last } = this.buttons;
    const last = at === this.run.steps.length - 1;
    for (const button of [First, Back]) button.setAttribute("aria-disabled", String(at === 0));
    for (const button of [Next, Last]) button.setAttribute("aria-disabled", String(last));
    this.said.replaceChildren(
      html("p", { class: "player__place" }, `Step ${at + 1} of ${this.run.steps.length}`),
      html("p", { class: "player__text" }, step.text),
    );
    light(this.drawing, this.run, at);
    this.follow();
    this.showLines(step);
  }

  private close(): void {
    this.element.remove();
    lightLines([]);
    this.closed();
  }

  private pressed(event: KeyboardEvent): void {
    const scrolled = (event.target as HTMLElement).closest("[tabindex]");
    if (scrolled || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const last = this.run.steps.length - 1;
    const goals: Record<string, number> = {
      ArrowRight: this.at + 1,
      ArrowLeft: this.at - 1,
      Home: 0,
      End: last,
    };
    const goal = goals[event.key];
    if (goal === undefined) return;
    event.preventDefault();
    this.show(goal);
  }

  private draw(): void {
    const { width } = picture(this.run, this.drawing);
    light(this.drawing, this.run, this.at);
    const { drawing } = this;
    const scrolls = width > drawing.clientWidth || drawing.scrollHeight > drawing.clientHeight;
    if (scrolls) {
      drawing.tabIndex = 0; // so that the keys can scroll it
      drawing.setAttribute("role", "group");
      drawing.setAttribute("aria-label", "Drawing of the run");
    } else for (const name of ["tabindex", "role", "aria-label"]) drawing.removeAttribute(name);
    this.follow();
  }

  /** Keep the step in view, where the drawing is larger than its box. */
  private follow(): void {
    const { drawing } = this;
    const step = drawing.querySelector(".lanes__step--now")?.getBoundingClientRect();
    if (!step) return;
    const box = drawing.getBoundingClientRect();
    const moved = (start: number, end: number, from: number, to: number) =>
      start < from || end > to ? (start + end - from - to) / 2 : 0;
    drawing.scrollLeft += moved(step.left, step.right, box.left, box.right);
    drawing.scrollTop += moved(step.top, step.bottom, box.top, box.bottom);
  }

  private showLines(step: Step): void {
    const { onPage } = this.played;
    const places = step.lines.map((lines) => ({
      lines,
      shown: onPage ? shownOn(document, onPage.path, onPage.program, lines) : [],
    }));
    lightLines(places.flatMap(({ shown }) => shown));
    this.lines.replaceChildren(
      ...step.messages.filter((one) => Object.keys(one.data).length).map(values),
      ...places.map(({ lines, shown }) => this.excerpt(lines, shown[0])),
    );
  }

  /** Some lines of the program with their place, which leads to the block that shows them. */
  private excerpt(lines: Lines, shown: Shown | undefined): HTMLElement {
    const name = `${this.played.name}, ${named(lines)}`;
    const code = html("code", { tabindex: 0 });
    if (shown?.whole) {
      code.append(shown.range.cloneContents());
      for (const mark of code.querySelectorAll(".md-annotation")) mark.remove();
    } else
      code.append(
        this.played.text
          .split("\n")
          .slice(lines[0] - 1, lines[1])
          .join("\n"),
      );
    const place = shown ? html("button", { type: "button", class: "player__there" }, name) : name;
    if (shown && typeof place !== "string") place.onclick = () => goTo(shown);
    return html(
      "figure",
      { class: "player__excerpt language-python highlight", "data-lines": lines.join("-") },
      html("figcaption", {}, place),
      html("pre", {}, code),
    );
  }
}

/** A message with its values, as Python would write it. */
function values(message: Message): HTMLElement {
  const pairs = Object.entries(message.data).map(([name, value]) => {
    const text = JSON.stringify(value) ?? "null";
    return `${name}=${text.length > VALUE ? `${text.slice(0, VALUE)}…` : text}`;
  });
  return html(
    "p",
    { class: "player__values" },
    html("code", {}, `${message.name}(${pairs.join(", ")})`),
  );
}
