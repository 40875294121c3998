// What the page and the worker that runs programs say to each other, as plain objects.

/** A program with what it needs beside it. */
export interface Program {
  name: string;
  text: string;
  files: Record<string, string>;
  /** Whether the steps of its last recording are wanted. */
  record: boolean;
}

export type Stream = "out" | "err";

/** What a program raised: the traceback as a reader sees it, and the program's own last line. */
export interface Failure {
  name: string;
  text: string;
  line: number | null;
}

/** A message, as `Recording.to_dicts` gives it: with its metadata, whose names vary. */
export interface TracedMessage {
  kind: "command" | "event";
  name: string;
  data: Record<string, unknown>;
  [metadata: string]: unknown;
}

/** A step of a recording, as `Recording.to_dicts` gives it. */
export interface Step {
  step: number;
  kind: string;
  message: TracedMessage | null;
  sent_by: number | null;
  handler: {
    name: string;
    file: string | null;
    line: number | null;
    last_line: number | null;
  } | null;
  aggregate: string | null;
  stream: string | null;
  events: TracedMessage[];
  error: { name: string; text: string } | null;
}

/**
 * How a run ended; `trace` is there if the program recorded something and it was wanted, and
 * `status` if it left with another exit status than 0.
 */
export interface Ended {
  ok: boolean;
  error?: Failure;
  status?: number;
  trace?: Step[];
}

export type ToWorker = { kind: "boot"; base: string } | ({ kind: "run"; id: number } & Program);

export type FromWorker =
  | { kind: "progress"; loaded: number; total: number }
  | { kind: "ready" }
  | { kind: "output"; id: number; stream: Stream; text: string }
  | ({ kind: "ended"; id: number } & Ended)
  | { kind: "broken"; text: string };

/** What the build writes into runtime.json. */
export interface Runtime {
  version: string;
  /** The folder of Python and the wheels, named by what they hold. */
  python: string;
  wheels: string[];
  /** What is below assets/run/ except source maps, each by its path there. */
  files: string[];
  bytes: number;
}
