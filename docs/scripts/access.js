// What the theme leaves undone for readers who do not use a pointer, or do not see the page.
(() => {
  // Buttons open the drawer and the search, as the theme's labels do for a pointer.
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-opens]");
    if (button) document.querySelector(`header [for="${button.dataset.opens}"]`).click();
  });

  // Escape closes the drawer.
  document.addEventListener("keydown", (event) => {
    const drawer = document.getElementById("__drawer");
    if (event.key === "Escape" && drawer?.checked) drawer.click();
  });

  // The theme makes links without a name of annotations.
  let waiting = false;
  const mend = () => {
    waiting = false;
    for (const link of document.querySelectorAll("a.md-annotation__index:not([aria-label])")) {
      const number = link.querySelector("[data-md-annotation-id]")?.dataset.mdAnnotationId ?? "";
      link.setAttribute("aria-label", `Annotation ${number}`);
    }
  };
  const soon = () => {
    if (!waiting) setTimeout(mend, 50);
    waiting = true;
  };
  new MutationObserver(soon).observe(document.body, { childList: true, subtree: true });
})();
