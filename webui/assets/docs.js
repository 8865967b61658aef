// Lets Swagger UI follow the theme of the pages.
"use strict";

const prefersDark = matchMedia("(prefers-color-scheme: dark)");

function followInDocs() {
  const theme = chosenTheme();
  root.classList.toggle("dark-mode", theme === "dark" || (theme === "auto" && prefersDark.matches));
}

followInDocs();
document.addEventListener("theme", followInDocs);
prefersDark.addEventListener("change", followInDocs);
