// Landmarks that the admin's frame lacks, for screen readers.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  document.getElementById("main")?.setAttribute("role", "main");
  // Simplebar gives every scrollable part the same label.
  const name = () =>
    document
      .querySelectorAll(".simplebar-content-wrapper")
      .forEach((part, n) => part.setAttribute("aria-label", `content ${n + 1}`));
  name();
  setTimeout(name, 0);
});
