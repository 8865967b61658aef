// Landmarks that the admin's frame lacks, for those who move by them.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  document.getElementById("main")?.setAttribute("role", "main");
  // Simplebar calls every scrollable part the same.
  const name = () =>
    document.querySelectorAll(".simplebar-content-wrapper").forEach((part, n) => {
      part.setAttribute("aria-label", `${part.closest("#nav-sidebar-apps") ? "navigation" : "content"} ${n + 1}`);
    });
  name();
  setTimeout(name, 0);
});
