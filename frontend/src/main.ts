// Puts buttons below each program of a page. What they do is fetched when one is pressed.
import { followTheme, stayOnPage } from "./anchors.ts";
import { kept, nameOf } from "./drafts.ts";
import { offerOwn, offerRecorded } from "./playable.ts";
import type { Ran } from "./runner.ts";

const assets = new URL("../", import.meta.url).href;

/** What is done with a block: the names of block.ts. */
export type Doing = "run" | "edit" | "copy" | "download" | "show";

const BUTTONS: [Exclude<Doing, "show">, string][] = [
  ["run", "Run"],
  ["edit", "Edit"],
  ["copy", "Copy program"],
  ["download", "Download"],
];

/** Whether the browser has what a run needs; asking a worker for its type fetches nothing. */
function able(): boolean {
  let modules = false;
  try {
    new Worker("", {
      get type(): "module" {
        modules = true;
        throw new Error("asked");
      },
    });
  } catch {
    return modules && "WebAssembly" in window;
  }
  return false;
}

function furnish(): void {
  for (const block of document.querySelectorAll<HTMLElement>(".highlight[data-program]")) {
    if (block.querySelector(".run")) continue;
    const bar = document.createElement("div");
    bar.className = "run";
    bar.setAttribute("role", "group");
    const name = `${block.dataset.program?.split("/").at(-1)}.py`;
    bar.setAttribute("aria-label", `The program ${name}`);
    for (const [doing, text] of BUTTONS) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "run__button";
      button.dataset.do = doing;
      button.textContent = text;
      bar.append(button);
    }
    block.append(bar);
    if (kept(nameOf(block)) !== null) act(block, "show");
  }
  offerRecorded(document, assets);
  const playground = document.querySelector<HTMLElement>("[data-playground]:not([data-run])");
  if (playground) {
    playground.dataset.run = "";
    fetched(playground, async () =>
      (await import("./playground.ts")).openPlayground(playground, assets),
    );
  }
}

function act(block: HTMLElement, doing: Doing): void {
  fetched(block, async () => (await import("./block.ts")).act(block, doing, assets));
}

/** Does something that is fetched first, and says so if it cannot be. */
async function fetched(place: HTMLElement, what: () => Promise<void>): Promise<void> {
  try {
    await what();
    place.querySelector(".run__broken")?.remove();
  } catch (error) {
    console.error(error);
    const said = document.createElement("p");
    said.className = "run__broken";
    said.setAttribute("role", "alert");
    said.textContent = "This could not be loaded. Load the page anew, and try again.";
    place.querySelector(".run__broken")?.remove();
    place.append(said);
  }
}

if (able()) {
  document.addEventListener("click", (event) => {
    const target = event.target instanceof Element ? event.target : null;
    const button = target?.closest<HTMLElement>("[data-do]");
    const block = button?.closest<HTMLElement>(".highlight[data-program]");
    if (!button || !block) return;
    act(block, button.dataset.do as Doing);
  });
  document.addEventListener("happened:ran", (event) => offerOwn(event as CustomEvent<Ran>));
  stayOnPage();
  furnish();
  followTheme(furnish);
} else {
  document.documentElement.classList.add("cannot-run");
}
