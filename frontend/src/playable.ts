// Offers to step through a run: above each drawing of a recorded one, and below a reader's own.
// The player is fetched when the button is pressed.
import { html } from "./elements.ts";
import type { Ran } from "./runner.ts";

/** Offer the recorded runs of a page; those that are offered already are left alone. */
export function offerRecorded(page: ParentNode, assets: string): void {
  for (const diagram of page.querySelectorAll<HTMLElement>(".diagram[data-trace]")) {
    if (diagram.previousElementSibling?.matches(".playable")) continue;
    const start = offer("Step through this run", async (start) =>
      (await import("./player.ts")).playRecorded(start, diagram, assets),
    );
    diagram.before(start);
  }
}

/** Offer a reader's own run below its block, in place of the one before. */
export function offerOwn({ target, detail }: CustomEvent<Ran>): void {
  const block = target as HTMLElement;
  while (block.nextElementSibling?.matches(".playable, .player")) block.nextElementSibling.remove();
  const { program, ended } = detail;
  const trace = ended.trace ?? [];
  if (!trace.length) return;
  const start = offer("Step through your run", async (start) =>
    (await import("./player.ts")).showTrace(program, trace, start),
  );
  block.after(start);
}

function offer(text: string, play: (start: HTMLElement) => Promise<void>): HTMLElement {
  const button = html("button", { type: "button", class: "run__button" }, text);
  const said = html("span", { role: "status" });
  const start = html("div", { class: "playable" }, button, said);
  let busy = false;
  button.onclick = async () => {
    if (busy) return;
    busy = true;
    said.textContent = "";
    try {
      await play(start);
    } catch (error) {
      console.error(error);
      said.textContent = "This could not be loaded. Load the page anew, and try again.";
    }
    busy = false;
  };
  return start;
}
