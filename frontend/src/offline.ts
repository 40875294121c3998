// Has the service worker keep what a run needs, and the page that it was started on.

/** What the page tells the service worker: addresses to keep. */
export interface Keep {
  kind: "keep";
  addresses: string[];
}

/** Registers the service worker; a browser that has none, or forbids it, runs without. */
export async function keepForOffline(base: string): Promise<void> {
  try {
    const container = navigator.serviceWorker; // a frame without an origin may not even ask
    await container.register(new URL("../../sw.js", base));
    const { active } = await container.ready;
    const loaded = performance.getEntriesByType("resource").map((entry) => entry.name);
    const keep: Keep = { kind: "keep", addresses: [location.href, ...loaded] };
    active?.postMessage(keep);
  } catch {
    // in a private window, for example
  }
}
