// What happened in a recorded run: who took part, and each step with its sentence and its lines.
import { type Block, outline } from "./outline.ts";
import type { Lines } from "./program.ts";
import type * as protocol from "./protocol.ts";

export type Message = protocol.TracedMessage;

/** A step as the domain recorded it; a trace that the build made has no more than this. */
export type Recorded = Omit<protocol.Step, "step" | "stream" | "handler"> & {
  handler: { name: string } | null;
};

export interface Lane {
  kind: "caller" | "handler" | "aggregate";
  name: string;
}

export interface Step {
  kind: string; // as the domain calls it: "received", "handling" and so on
  text: string;
  from: number; // lanes, by their numbers
  to: number;
  label: string; // at the arrow; empty where there is none
  solid: boolean; // commands and what is persisted, as in the drawing that Python makes; events are dashed
  notes: string[]; // the events that an aggregate was persisted with
  messages: Message[]; // what the step is about, with their data
  lines: Lines[];
}

export interface Run {
  lanes: Lane[];
  steps: Step[];
}

/** Make the steps of a recorded run of a program; the lines are those of this text. */
export function follow(recorded: readonly Recorded[], program: string): Run {
  const blocks = outline(program);
  const lanes: Lane[] = [];
  const origins = new Map<unknown, number>(); // who sent or raised each message, by its id

  const lane = (kind: Lane["kind"], name: string): number => {
    const known = lanes.findIndex((one) => one.kind === kind && one.name === name);
    return known < 0 ? lanes.push({ kind, name }) - 1 : known;
  };
  const actor = (handler: string | undefined): number =>
    handler ? lane("handler", ownerOf(handler)) : lane("caller", "caller");
  const origin = (step: Recorded): number => origins.get(step.message?.id) ?? actor(undefined);

  const received = (step: Recorded, place: number): Step => {
    const sender = recorded[step.sent_by ?? -1]?.handler?.name;
    const from = actor(sender);
    if (step.message) origins.set(step.message.id, from);
    const name = nameOf(step);
    const verb = step.message?.kind === "event" ? "dispatches" : "sends";
    const taken = recorded.some((later, at) => at > place && sameMessage(later, step));
    const text = `${sender ?? "The caller"} ${verb} ${name}${taken ? "." : "; it has no handler."}`;
    const label = taken ? "" : `${name}, no handler`;
    return { ...plain(step), text, from, to: from, label, lines: classOf(blocks, name) };
  };

  const handling = (step: Recorded, place: number): Step => {
    const before = recorded.slice(0, place);
    const again = before.some((one) => one.kind === "failed" && sameCall(one, step));
    const name = nameOf(step);
    const [who, to] = [whoOf(step), actor(step.handler?.name)];
    const shown = { ...plain(step), to, lines: handlerOf(blocks, step.handler?.name) };
    const solid = step.message?.kind === "command";
    if (again) {
      const text = `${who} is called again with ${name}.`;
      return { ...shown, text, from: to, label: `${name}, again`, solid: true };
    }
    const text = solid ? `${who} handles ${name}.` : `${name} is dispatched to ${who}.`;
    return { ...shown, text, from: origin(step), label: name, solid };
  };

  const persisted = (step: Recorded): Step => {
    const name = step.aggregate ?? "aggregate";
    const from = actor(step.handler?.name);
    const to = lane("aggregate", name);
    for (const event of step.events) origins.set(event.id, to);
    const notes = step.events.map((event) => event.name);
    const label = step.kind === "removed" ? "remove" : "persist";
    const what = `${name} is ${step.kind === "removed" ? "removed" : "persisted"}`;
    const text = notes.length ? `${what} with ${listed(notes)}.` : `${what}. It raised no event.`;
    const raised = notes.flatMap((event) => [
      ...raiserOf(blocks, name, event),
      ...classOf(blocks, event),
    ]);
    const lines = raised.length ? sorted(raised) : handlerOf(blocks, step.handler?.name);
    return { ...plain(step), text, from, to, label, notes, messages: step.events, lines };
  };

  const ended = (step: Recorded, place: number): Step => {
    const here = actor(step.handler?.name);
    const shown = { ...plain(step), from: here, lines: handlerOf(blocks, step.handler?.name) };
    if (step.kind === "handled") return { ...shown, text: `${whoOf(step)} is done.`, to: here };
    const next = recorded.find((later, at) => at > place && sameMessage(later, step));
    const repeated = next?.kind === "handling" && sameCall(next, step);
    const to = step.message?.kind === "command" && !repeated ? origin(step) : here;
    const label = step.error?.name ?? "an error";
    const said = [label, step.error?.text].filter(Boolean).join(": ");
    return { ...shown, text: `${whoOf(step)} fails with ${said}`, to, label };
  };

  const makers: Record<string, (step: Recorded, place: number) => Step> = {
    received,
    handling,
    persisted,
    removed: persisted,
    handled: ended,
    failed: ended,
  };
  const steps = recorded.flatMap((step, place) => makers[step.kind]?.(step, place) ?? []);
  return { lanes, steps };
}

/** What most steps have in common. */
function plain({ kind, message }: Recorded) {
  const messages = message ? [message] : [];
  return { kind, messages, label: "", solid: true, notes: [], lines: [] };
}

function nameOf(step: Recorded): string {
  return step.message?.name ?? "a message";
}

function whoOf(step: Recorded): string {
  return step.handler?.name ?? "The caller";
}

/** Name some lines as the page does: "line 3", "lines 3 to 5". */
export function named([first, last]: Lines): string {
  return first === last ? `line ${first}` : `lines ${first} to ${last}`;
}

function ownerOf(handler: string): string {
  return handler.includes(".") ? handler.slice(0, handler.lastIndexOf(".")) : handler;
}

function sameMessage(one: Recorded, other: Recorded): boolean {
  return one.message?.id === other.message?.id;
}

function sameCall(one: Recorded, other: Recorded): boolean {
  return sameMessage(one, other) && one.handler?.name === other.handler?.name;
}

function listed(names: string[]): string {
  return [names.slice(0, -1).join(", "), ...names.slice(-1)].filter(Boolean).join(" and ");
}

function classOf(blocks: Block[], name: string): Lines[] {
  const found = blocks.filter((block) => block.kind === "class" && lastPart(block.name) === name);
  return found.slice(-1).map((block) => block.lines);
}

/** The function or method of a handler; for an object that is called, its class's `__call__`. */
function handlerOf(blocks: Block[], name: string | undefined): Lines[] {
  const found = blocks.filter((block) => block.name === `${name}.__call__`);
  const called = found.length ? found : blocks.filter((block) => block.name === name);
  return called.slice(-1).map((block) => block.lines);
}

/** The method that raises an event: of the aggregate, or else of any class, if there is one only. */
function raiserOf(blocks: Block[], aggregate: string | null, event: string): Lines[] {
  const raises = new RegExp(`\\b${event}\\(`);
  const found = blocks.filter(
    (block) => block.kind === "def" && block.code.includes(".raise_(") && raises.test(block.code),
  );
  const own = found.filter((block) => ownerOf(block.name) === aggregate);
  const [only, ...more] = own.length ? own : found;
  return only && !more.length ? [only.lines] : [];
}

function lastPart(name: string): string {
  return name.slice(name.lastIndexOf(".") + 1);
}

/** Each range of lines once, from the top. */
function sorted(lines: Lines[]): Lines[] {
  const ordered = [...lines].sort((one, other) => one[0] - other[0]);
  return ordered.filter(([first], place) => first !== ordered[place - 1]?.[0]);
}
