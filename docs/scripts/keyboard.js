// Where the theme leaves the keyboard behind: labels that act as buttons answer to Enter and Space.
document.addEventListener("keydown", (event) => {
  const label = event.target;
  if (!(label instanceof HTMLLabelElement) || (event.key !== "Enter" && event.key !== " ")) return;
  if (label.matches(".tabbed-labels > label")) return;
  event.preventDefault();
  label.click();
});
