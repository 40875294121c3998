// What the service worker keeps for offline reading: a whole release of what runs programs, and the
// pages that were visited.
import type { Runtime } from "./protocol.ts";

/** Files below assets/run/ that are never changed: another content has another name. */
const LASTING = /^(?:chunks|python-[0-9a-f]+)\//;

export class Kept {
  readonly #root: string;
  readonly #run: string;
  readonly #version: string;
  readonly #mine: string;

  /**
   * @param root The absolute address of the site.
   * @param version The release: what runtime.json calls its version.
   */
  constructor(root: string, version: string) {
    this.#root = root;
    this.#run = new URL("assets/run/", root).href;
    this.#version = version;
    this.#mine = `happened ${root} `; // other sites may share the origin
  }

  get #release(): string {
    return `${this.#mine}run ${this.#version}`;
  }

  get #pages(): string {
    return `${this.#mine}pages`;
  }

  /**
   * Keeps every file that a run needs; what the browser has in its own cache is not sent again.
   *
   * Fails where one cannot be had, or where the site hands out another release: the browser tries
   * again later, and what was kept before stays in use until then.
   */
  async keepRelease(): Promise<void> {
    const list = new URL("runtime.json", this.#run).href;
    const answer = await fetch(list, { cache: "no-cache" });
    const { version, files }: Runtime = await answer.clone().json();
    if (version !== this.#version) {
      throw new Error(`expected the release ${this.#version}, found ${version}`);
    }
    const cache = await caches.open(this.#release);
    await cache.addAll(
      files.map((file) => {
        const how = LASTING.test(file) ? "force-cache" : "no-cache";
        return new Request(new URL(file, this.#run), { cache: how });
      }),
    );
    await cache.put(list, answer);
  }

  /** Deletes other releases. */
  async dropOthers(): Promise<void> {
    const names = await caches.keys();
    const others = names.filter(
      (name) => name.startsWith(this.#mine) && ![this.#release, this.#pages].includes(name),
    );
    await Promise.all(others.map((name) => caches.delete(name)));
  }

  /** Keeps a page with all that it loaded; what cannot be had does not matter. */
  async keepPages(addresses: string[]): Promise<void> {
    const wanted = addresses.filter((each) => this.answers(each) && !each.startsWith(this.#run));
    await Promise.all(wanted.map((each) => this.answer(new Request(each)).catch(() => {})));
  }

  /** Whether an address is one of this site. */
  answers(address: string): boolean {
    return address.startsWith(this.#root);
  }

  /** Answers a request: what never changes as it is kept, all else from the network if it can be. */
  async answer(request: Request): Promise<Response> {
    const address = request.url.replace(/[?#].*/, "");
    const inRun = address.startsWith(this.#run);
    if (inRun && LASTING.test(address.slice(this.#run.length))) {
      return (await this.#find(address)) ?? fetch(request);
    }
    let answer: Response;
    try {
      answer = await (inRun ? fetch(request, { cache: "no-cache" }) : fetch(request));
    } catch (error) {
      const kept = await this.#find(address);
      if (kept) return kept;
      if (request.mode !== "navigate") throw error;
      return new Response(
        "This page was not visited before, and there is no connection: go back to a page that was.",
        { status: 503, headers: { "content-type": "text/plain; charset=utf-8" } },
      );
    }
    if (answer.status === 200 && !inRun) await this.#put(address, answer.clone());
    return answer;
  }

  /** Finds what is kept, also of a release that only waits for this one's last page to be closed. */
  #find(address: string): Promise<Response | undefined> {
    return caches.match(address).catch(() => undefined);
  }

  /** Keeps an answer, if the browser has room for it. */
  async #put(address: string, answer: Response): Promise<void> {
    try {
      await (await caches.open(this.#pages)).put(address, answer);
    } catch {
      // the reader has the page all the same
    }
  }
}
