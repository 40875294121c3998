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

  // The theme makes a landmark of each copy button, and links without a name of annotations.
  const mend = () => {
    for (const nav of document.querySelectorAll(".md-code__nav:not([role])")) nav.setAttribute("role", "none");
    for (const link of document.querySelectorAll("a.md-annotation__index:not([aria-label])")) {
      const number = link.querySelector("[data-md-annotation-id]")?.dataset.mdAnnotationId ?? "";
      link.setAttribute("aria-label", `Annotation ${number}`);
    }
  };
  new MutationObserver(mend).observe(document.body, { childList: true, subtree: true });
})();
