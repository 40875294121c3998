// Loads files, counts their bytes, and says clearly what did not come.

export type Progress = (loaded: number, total: number) => void;

/** What a reader is told when Python cannot start. */
export class LoadingError extends Error {}

/** Makes a `fetch` that counts what arrives, and fails with what was expected and what to do. */
export function counting(load: typeof fetch, total: number, progress: Progress): typeof fetch {
  let loaded = 0;
  return async (input, init) => {
    const address = input instanceof Request ? input.url : String(input);
    const answer = await found(load(input, init), address);
    void count(answer.clone());
    return answer;
  };

  async function count(copy: Response): Promise<void> {
    const reader = copy.body?.getReader();
    for (;;) {
      const part = await reader?.read().catch(() => undefined);
      if (!part?.value) return;
      loaded += part.value.length;
      progress(Math.min(loaded, total), total);
    }
  }
}

/** Gives the answer of a request that came to something. */
export async function found(asked: Promise<Response>, address: string): Promise<Response> {
  const answer = await asked.catch(() => {
    throw new LoadingError(unreachable(address));
  });
  if (!answer.ok) {
    throw new LoadingError(
      `Python did not start: this site should have ${nameOf(address)}, and answered ` +
        `${answer.status}. Reload the page and press Run again.`,
    );
  }
  return answer;
}

export function garbled(address: string): string {
  return (
    `Python did not start: this site should have ${nameOf(address)}, and sent something else. ` +
    "Check the connection, reload the page and press Run again."
  );
}

export function unreachable(address: string): string {
  return (
    `Python did not start: ${nameOf(address)} could not be loaded, and is not kept from an ` +
    "earlier run. Check the connection and press Run again; once a program has run here, " +
    "programs run offline, too."
  );
}

function nameOf(address: string): string {
  return new URL(address).pathname.split("/").at(-1) ?? address;
}
