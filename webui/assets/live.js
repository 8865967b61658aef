// Parts of a page with an id and data-live are refreshed while the tab is visible, and at once when it is shown again.
// The server renders them; here, what differs is changed in place, so that focus, selection, scroll positions and what
// is open stay. Parts with data-follows are refreshed along with these.
"use strict";

const REFRESH_MS = Number(document.documentElement.dataset.refresh || 10) * 1000;
// What a reader changes.
const OWN = ["open"];

const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.dataset.key || node.id : "");

function updateNode(node, fresh) {
  if (node.isEqualNode(fresh)) return;
  if (node.nodeType !== Node.ELEMENT_NODE) {
    node.data = fresh.data;
    return;
  }
  for (const { name, value } of fresh.attributes) {
    if (!OWN.includes(name) && node.getAttribute(name) !== value) node.setAttribute(name, value);
  }
  for (const { name } of [...node.attributes]) {
    if (!OWN.includes(name) && !fresh.hasAttribute(name)) node.removeAttribute(name);
  }
  updateChildren(node, fresh);
}

function updateChildren(node, fresh) {
  const wantedKeys = new Set([...fresh.children].map(keyOf).filter(Boolean));
  const kept = new Map();
  for (const child of [...node.children]) {
    const key = keyOf(child);
    if (wantedKeys.has(key)) kept.set(key, child);
    else if (key) child.remove();
  }
  let place = node.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    const key = keyOf(wanted);
    let match = kept.get(key);
    if (!key && place && !keyOf(place) && place.nodeName === wanted.nodeName) match = place;
    if (!match) {
      node.insertBefore(document.importNode(wanted, true), place);
      continue;
    }
    if (match === place) place = place.nextSibling;
    else node.insertBefore(match, place);
    updateNode(match, wanted);
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

let refreshing = false;

async function refresh() {
  const parts = document.querySelectorAll("[data-live]");
  if (document.hidden || refreshing || !parts.length) return;
  refreshing = true;
  try {
    const response = await fetch(location.href, { headers: { Accept: "text/html" } });
    // A redirect leads to the login form: the session has ended.
    if (!response.ok || response.redirected) throw new Error(String(response.status));
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    localTimes(fresh);
    const focused = document.activeElement;
    for (const part of document.querySelectorAll("[data-live], [data-follows]")) {
      const wanted = fresh.getElementById(part.id);
      part.classList.toggle("stale", !wanted);
      if (wanted) updateChildren(part, wanted);
    }
    // An element that was moved has lost the focus.
    if (focused.isConnected && focused !== document.activeElement) focused.focus({ preventScroll: true });
  } catch {
    parts.forEach((part) => part.classList.add("stale"));
  } finally {
    refreshing = false;
  }
  document.dispatchEvent(new Event("refreshed"));
}

setInterval(refresh, REFRESH_MS);
document.addEventListener("visibilitychange", () => document.hidden || refresh());
