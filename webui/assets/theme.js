// Runs before the page is rendered, so that the wrong theme does not flash. Uses the admin's key and JSON format in
// localStorage, so that one choice applies to both.
"use strict";

const root = document.documentElement;
root.classList.add("js");

function chosenTheme() {
  try {
    return JSON.parse(localStorage.getItem("adminTheme")) || "auto";
  } catch {
    return "auto";
  }
}

function applyTheme() {
  const theme = chosenTheme();
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  else delete root.dataset.theme;
}

applyTheme();
