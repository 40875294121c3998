// The service worker: keeps what a run needs and the pages that were visited, for offline reading.
import type { Keep } from "./offline.ts";
import type { Runtime } from "./protocol.ts";

declare const self: ServiceWorkerGlobalScope;

const VERSION = "__VERSION__"; // of everything below assets/run/; the site's build fills it in
const PREFIX = "happened ";
const RUN = `${PREFIX}run ${VERSION}`;
const PAGES = `${PREFIX}pages`;

const root = self.registration.scope;
const run = new URL("assets/run/", root).href;

self.addEventListener("install", (event) => {
  event.waitUntil(keepRun().then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(dropOld().then(() => self.clients.claim()));
});

self.addEventListener("message", (event) => {
  const { kind, addresses }: Keep = event.data;
  if (kind === "keep") event.waitUntil(keepPages(addresses));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || !request.url.startsWith(root)) return;
  event.respondWith(request.url.startsWith(run) ? keptFirst(request) : networkFirst(request));
});

/** Keeps every file that a run needs; what the browser has just loaded is not sent again. */
async function keepRun(): Promise<void> {
  const list = new URL("runtime.json", run).href;
  const answer = await fetch(list, { cache: "no-cache" });
  const { files }: Runtime = await answer.clone().json();
  const cache = await caches.open(RUN);
  await cache.put(list, answer);
  const addresses = files.map((file) => new URL(file, run).href);
  await cache.addAll(addresses.map((address) => new Request(address, { cache: "no-cache" })));
}

async function dropOld(): Promise<void> {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith(PREFIX) && ![RUN, PAGES].includes(name));
  await Promise.all(old.map((name) => caches.delete(name)));
}

/** Keeps a page with all that it loaded; what cannot be had does not matter. */
async function keepPages(addresses: string[]): Promise<void> {
  const wanted = addresses.filter((each) => each.startsWith(root) && !each.startsWith(run));
  await Promise.all(wanted.map((each) => networkFirst(new Request(each)).catch(() => {})));
}

async function keptFirst(request: Request): Promise<Response> {
  const cache = await caches.open(RUN);
  return (await cache.match(request, { ignoreSearch: true })) ?? fetch(request);
}

async function networkFirst(request: Request): Promise<Response> {
  const cache = await caches.open(PAGES);
  const address = request.url.replace(/#.*/, "");
  try {
    const answer = await fetch(request);
    if (answer.status === 200) await cache.put(address, answer.clone());
    return answer;
  } catch (error) {
    const kept = await cache.match(address, { ignoreSearch: true });
    if (kept) return kept;
    if (request.mode !== "navigate") throw error;
    return new Response(
      "This page was not visited before, and there is no connection: go back to a page that was.",
      { status: 503, headers: { "content-type": "text/plain; charset=utf-8" } },
    );
  }
}
