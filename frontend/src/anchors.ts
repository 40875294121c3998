// Links within a page leave the page as it is.
//
// The theme does not know at first which page it shows, so the first step within a page would have
// it load the page anew, and what a reader has opened, run and stepped through would be gone.

/** Lets the browser follow links within the page, until the theme has shown another one. */
export function stayOnPage(): void {
  const here = location.pathname;
  const followed = (event: MouseEvent) => {
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    const within = link?.hash && withoutHash(link.href) === withoutHash(location.href);
    if (within) event.stopImmediatePropagation(); // the theme listens here, too, but later
  };
  const stepped = (event: PopStateEvent) => {
    if (location.pathname === here) event.stopImmediatePropagation();
  };
  document.body.addEventListener("click", followed);
  addEventListener("popstate", stepped);
  followTheme(() => {
    if (location.pathname === here) return;
    document.body.removeEventListener("click", followed);
    removeEventListener("popstate", stepped);
  });
}

/** Calls a function whenever the theme has shown a page: this one, or another in its place. */
export function followTheme(shown: () => void): void {
  const follow = () => window.document$?.subscribe(shown);
  if (window.document$) follow();
  else addEventListener("DOMContentLoaded", follow);
}

function withoutHash(address: string): string {
  return address.replace(/#.*/, "");
}
