// A program as the site's build describes it, and which of its lines a block of the page shows.

import type { Step } from "./protocol.ts";

/** The first and the last of some lines, counted from 1. */
export type Lines = [first: number, last: number];

export interface Program {
  /** The file's name, such as `bookshelf.py`. */
  name: string;
  text: string;
  /** The lines of each marked section. */
  sections: Record<string, Lines>;
  /** What the program imports or reads beside it, by name. */
  files: Record<string, string>;
  /** What it printed when the guide was made. */
  output: string;
  /** What happened in it, step by step, if a page shows that. */
  trace: Step[] | null;
  /** Imports and set-up, which the editor folds. */
  foldable: Lines | null;
}

/** Fetches the description of a program such as `ch08_event_handlers/bookshelf`. */
export async function loadProgram(assets: string, path: string): Promise<Program> {
  const answer = await fetch(new URL(`programs/${path}.json`, assets)).catch(() => {
    throw new Error(`${path} could not be loaded. Check the connection, and try again.`);
  });
  if (!answer.ok) throw new Error(`${path} could not be loaded: the server said ${answer.status}`);
  return answer.json();
}

/**
 * Returns the row of a block, counted from 0, that shows a line of the whole program.
 *
 * A block leaves out blank lines at its edges, so it is compared with what it shows; null where
 * the line is not in the block, or reads otherwise there.
 */
export function rowOf(
  program: Program,
  section: string | null,
  shown: string,
  line: number,
): number | null {
  const lines = program.text.split("\n");
  const rows = shown.replace(/\n$/, "").split("\n");
  const [first, last] = (section !== null && program.sections[section]) || [1, lines.length];
  const start = lines.findIndex((text, index) => index >= first - 1 && text.trim() !== "");
  const row = line - 1 - start;
  if (line > last || row < 0 || row >= rows.length) return null;
  return rows[row]?.trim() === lines[line - 1]?.trim() ? row : null;
}

/** Returns the lines to fold when a section is shown: none of the section itself. */
export function linesToFold(foldable: Lines | null, section: Lines | null): Lines | null {
  if (!foldable) return null;
  const last = section ? Math.min(foldable[1], section[0] - 1) : foldable[1];
  return last > foldable[0] ? [foldable[0], last] : null;
}

/** Says how long something took: `0.24 s`, `3.2 s`. */
export function seconds(milliseconds: number): string {
  return `${Math.max(0.01, milliseconds / 1000).toFixed(milliseconds < 995 ? 2 : 1)}\u00a0s`;
}

/** Says how much of a download is there: `3.1 of 12.4 MB`. */
export function megabytes(loaded: number, total: number): string {
  const whole = Math.max(loaded, total);
  return `${(loaded / 1e6).toFixed(1)} of ${(whole / 1e6).toFixed(1)}\u00a0MB`;
}
