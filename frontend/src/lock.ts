// Takes from a worker what a program must not reach: it may be of somebody else, from a link.
//
// Python sees the worker's global object as its module `js`. A program that could reach the site's
// caches could change the pages that the service worker hands out, and one that could speak to the
// page could print without end; so network, storage, other workers and the way to the page are
// deleted once Python is there, for as long as the worker lives. An `import()` of a script cannot be
// deleted: it is forbidden by a policy alone, in the response that brings the worker, and a site of
// plain files has no say in that.

const TAKEN = [
  "fetch",
  "XMLHttpRequest",
  "WebSocket",
  "WebSocketStream",
  "WebTransport",
  "EventSource",
  "importScripts",
  "caches",
  "indexedDB",
  "cookieStore",
  "BroadcastChannel",
  "Worker",
  "SharedWorker",
  "close",
  "postMessage",
  "FontFace",
  "Notification",
  "webkitRequestFileSystem",
  "webkitRequestFileSystemSync",
  "webkitResolveLocalFileSystemURL",
  "webkitResolveLocalFileSystemSyncURL",
];

/** Deletes for good what reaches beyond the worker. */
export function lock(worker: object = self): void {
  for (const name of TAKEN) take(worker, name);
  const { navigator } = worker as { navigator?: Record<string, unknown> };
  for (const name in navigator) {
    if (typeof navigator[name] === "object") take(navigator, name); // storage, locks, devices
  }
}

/** Deletes a property wherever it was inherited from, and puts nothing in its place. */
function take(holder: object, name: string): void {
  for (let at: object | null = holder; at; at = Object.getPrototypeOf(at)) {
    if (Object.hasOwn(at, name) && !Reflect.deleteProperty(at, name)) {
      throw new Error(`a program could reach ${name}`);
    }
  }
}
