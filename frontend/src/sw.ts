// The service worker: it is registered once a program has run, and keeps what is read after that.
import { Kept } from "./kept.ts";
import type { Keep } from "./offline.ts";

declare const self: ServiceWorkerGlobalScope;

const VERSION = "__VERSION__"; // of everything below assets/run/; the site's build fills it in
const kept = new Kept(self.registration.scope, VERSION);

// A new release waits until the pages of the old one are closed, which may need its files.
self.addEventListener("install", (event) => event.waitUntil(kept.keepRelease()));

self.addEventListener("activate", (event) => {
  event.waitUntil(kept.dropOthers().then(() => self.clients.claim()));
});

self.addEventListener("message", (event) => {
  const { kind, addresses }: Keep = event.data;
  if (kind === "keep") event.waitUntil(kept.keepPages(addresses));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method === "GET" && kept.answers(request.url)) {
    event.respondWith(kept.answer(request));
  }
});
