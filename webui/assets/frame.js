// What the pages and the admin share: the sidebar's menu, theme and language, the keyboard, and times in the reader's
// time zone.
"use strict";

const SEQUENCE_MS = 1500;

// The server writes times in UTC. Swedish writes dates and times as ISO 8601 does, which is understood in every language.
const shownTime = new Intl.DateTimeFormat("sv-SE", {
  year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});

function localTimes(part) {
  part.querySelectorAll("time[data-utc]").forEach((time) => {
    time.textContent = shownTime.format(new Date(time.dateTime));
    time.removeAttribute("data-utc");
  });
}

function followTheme() {
  const select = document.getElementById("theme");
  if (!select) return;
  select.value = chosenTheme();
  select.addEventListener("change", () => {
    if (window.Alpine) Alpine.$data(document.documentElement).switchTheme(select.value);
    localStorage.setItem("adminTheme", JSON.stringify(select.value));
    applyTheme();
    document.dispatchEvent(new Event("theme"));
  });
  // The admin has a key of its own to change the theme.
  new MutationObserver(() => {
    applyTheme();
    select.value = chosenTheme();
  }).observe(document.documentElement, { attributeFilter: ["class"] });
}

function toggleMenu(button) {
  const open = button.closest(".side").classList.toggle("open");
  button.setAttribute("aria-expanded", String(open));
}

const NOT_TYPED = ["button", "checkbox", "color", "file", "image", "radio", "range", "reset", "submit"];

function isTyping(target) {
  if (!(target instanceof Element)) return false;
  if (target.isContentEditable || target.closest("textarea, select")) return true;
  const input = target.closest("input");
  return Boolean(input) && !NOT_TYPED.includes(input.type);
}

let sequenceEnds = 0;

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat || isTyping(event.target)) return;
  const keys = document.getElementById("keys");
  if (document.querySelector("dialog[open]")) {
    // Only Escape, which the browser handles, and the key that opened it.
    if (event.key === "?" && keys.open) keys.close();
    return;
  }
  if (event.key === "Shift") return;
  const goes = performance.now() < sequenceEnds;
  sequenceEnds = 0;
  const link = goes && document.querySelector(`#nouns a[data-go="${CSS.escape(event.key)}"]`);
  if (link) {
    link.click();
  } else if (event.key === "g") {
    sequenceEnds = performance.now() + SEQUENCE_MS;
    return;
  } else if (event.key === "/") {
    const field = document.querySelector("[role=search] input:not([type=hidden])");
    if (!field) return;
    field.focus();
    field.select();
  } else if (event.key === "?" && keys) {
    keys.showModal();
  } else {
    return;
  }
  event.preventDefault();
}

document.addEventListener("DOMContentLoaded", () => {
  localTimes(document);
  followTheme();
  const tab = document.querySelector(".tabs [aria-current]");
  if (tab) tab.closest(".tabs").scrollLeft = tab.offsetLeft - 16;
  document.getElementById("language")?.addEventListener("change", (event) => event.target.form.submit());
});
document.addEventListener("keydown", press);
// Coming back to a list, the browser fills in what was typed when it was left, but the list is that of its address.
addEventListener("pageshow", (event) => {
  if (!event.persisted && performance.getEntriesByType("navigation")[0]?.type !== "back_forward") return;
  document.querySelectorAll("[role=search]").forEach((form) => form.reset());
});
document.addEventListener("click", (event) => {
  const menu = event.target.closest("[data-menu]");
  if (menu) toggleMenu(menu);
  else if (event.target.closest("[data-keys]")) document.getElementById("keys").showModal();
  // The dialog itself is only hit outside of its content: on its backdrop.
  else if (event.target.id === "keys" && isOutside(event, event.target.getBoundingClientRect())) event.target.close();
});

function isOutside(event, box) {
  return event.clientX < box.left || event.clientX > box.right || event.clientY < box.top || event.clientY > box.bottom;
}
