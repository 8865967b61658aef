// Runs before the page is drawn: a chosen theme must not flash. The key and its JSON are the admin's, so one choice
// serves both.
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
