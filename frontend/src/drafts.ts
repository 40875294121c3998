// What a reader wrote, for as long as the tab is open: pages come and go, and are loaded anew.

/** Gives what was kept under a name, or null. */
export function kept(name: string): string | null {
  try {
    return sessionStorage.getItem(`happened:${name}`);
  } catch {
    return null; // the reader's browser keeps nothing
  }
}

/** Keeps a text under a name; null keeps nothing there. */
export function keep(name: string, text: string | null): void {
  try {
    if (text === null) sessionStorage.removeItem(`happened:${name}`);
    else sessionStorage.setItem(`happened:${name}`, text);
  } catch {
    // as above
  }
}

/** The name of what was written in a block of a page. */
export function nameOf({ dataset: { program = "", section = "" } }: HTMLElement): string {
  return `block ${program} ${section}`;
}
