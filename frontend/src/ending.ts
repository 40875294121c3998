// How a run has ended, in words.
import type { State } from "./output.ts";
import type { Ended } from "./protocol.ts";

/**
 * Returns the state that a run is in at its end, and what the reader is told of it.
 *
 * @param begun Whether Python was there, and the program begun.
 * @param took How long it took, in words.
 * @param printed What it printed.
 */
export function ending(
  { ok, error, status }: Ended,
  begun: boolean,
  took: string,
  printed: string,
): [State, string] {
  if (ok) {
    return ["ended", `the whole program ran in ${took}${printed ? "" : " and printed nothing"}`];
  }
  if (error?.name === "Stopped") return ["stopped", `was stopped after ${took}`];
  if (error?.name === "NotRun") {
    return ["failed", begun ? `broke Python, after ${took}` : "did not run"];
  }
  if (status) return ["failed", `the whole program left with exit status ${status}, after ${took}`];
  const where = error?.line ? ` in line ${error.line}` : "";
  return ["failed", `the whole program failed${where}, after ${took}`];
}
