// What the theme leaves undone for readers who do not use a pointer, or do not see the page.
(() => {
  // Buttons open the drawer and the search, as the theme's labels do for a pointer.
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-opens]");
    if (button) document.querySelector(`header [for="${button.dataset.opens}"]`).click();
  });

  // Colours: those of the reader's system, until the reader presses the button.
  const colour = (dark) => {
    document.body.dataset.mdColorScheme = dark ? "slate" : "default";
    document.querySelector("[data-palette]").ariaPressed = dark;
  };
  const system = matchMedia("(prefers-color-scheme: dark)");
  system.addEventListener("change", () => colour(__md_get("__dark") ?? system.matches));
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-palette]");
    if (!button) return;
    const dark = button.ariaPressed !== "true";
    __md_set("__dark", dark);
    colour(dark);
  });

  // To navigate instantly, the theme makes each relative address absolute. A stylesheet would be
  // read once more and all of the page laid out anew, so it keeps the address it has, and only
  // says the other one where the theme compares it with the next page's.
  for (const link of document.querySelectorAll("link[rel=stylesheet]")) {
    const said = Object.assign(link.cloneNode(), { href: link.href }).outerHTML;
    const address = link.href;
    Object.defineProperty(link, "href", { get: () => address, set: () => {} });
    Object.defineProperty(link, "outerHTML", { get: () => said });
  }

  // Escape closes the drawer.
  document.addEventListener("keydown", (event) => {
    const drawer = document.getElementById("__drawer");
    if (event.key === "Escape" && drawer?.checked) drawer.click();
  });

  // The list of pages is long: it is scrolled to the page that is open, once it has its height.
  const list = new ResizeObserver((entries) => {
    for (const { target: box } of entries) {
      const link = box.querySelector("[aria-current]");
      if (!link || box.scrollHeight <= box.clientHeight) continue;
      const here = link.getBoundingClientRect();
      const room = box.getBoundingClientRect();
      if (here.top < room.top || here.bottom > room.bottom) {
        box.scrollTop += (here.top + here.bottom - room.top - room.bottom) / 2;
      }
      list.unobserve(box);
    }
  });

  // The theme makes links without a name of annotations, and boxes of tables that keys cannot scroll.
  let waiting = false;
  let pages;
  const mend = () => {
    waiting = false;
    for (const link of document.querySelectorAll("a.md-annotation__index:not([aria-label])")) {
      const number = link.querySelector("[data-md-annotation-id]")?.dataset.mdAnnotationId ?? "";
      link.setAttribute("aria-label", `Annotation ${number}`);
    }
    for (const box of document.querySelectorAll(".md-typeset__scrollwrap:not([tabindex])")) {
      Object.assign(box, { tabIndex: 0, role: "group", ariaLabel: "Table" });
    }
    const now = document.querySelector(".md-sidebar--primary .md-sidebar__scrollwrap");
    if (now && now !== pages) list.observe(now);
    pages = now;
  };
  const soon = () => {
    if (!waiting) setTimeout(mend, 50);
    waiting = true;
  };
  new MutationObserver(soon).observe(document.body, { childList: true, subtree: true });
  soon();
})();
