// Functions of every page: theme, menu, copy buttons, local times, and refreshing its numbers.
"use strict";

const REFRESH_MS = Number(document.documentElement.dataset.refresh || 10) * 1000;

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-menu], [data-copy]");
  if (!button) return;
  if ("menu" in button.dataset) {
    const open = button.closest(".side").classList.toggle("open");
    button.setAttribute("aria-expanded", String(open));
  } else {
    await copy(button);
  }
});

async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  const label = button.querySelector("[data-label]");
  label.dataset.before ??= label.textContent;
  try {
    await navigator.clipboard.writeText(source.value ?? source.textContent);
    label.textContent = button.dataset.done;
  } catch {
    // The clipboard API needs HTTPS. Without it, select the text, so that one key copies it.
    if (source.select) source.select();
    else getSelection().selectAllChildren(source);
    label.textContent = button.dataset.selected;
  }
  setTimeout(() => (label.textContent = label.dataset.before), 2000);
}

// For charts: canvas does not support light-dark(), so let the browser compute the colour on an element.
function colour(variable) {
  const probe = document.createElement("i");
  probe.style.color = `var(${variable})`;
  document.body.append(probe);
  const computed = getComputedStyle(probe).color;
  probe.remove();
  return computed;
}

const themeSelect = document.getElementById("theme");
if (themeSelect) {
  themeSelect.value = chosenTheme();
  themeSelect.addEventListener("change", () => {
    localStorage.setItem("adminTheme", JSON.stringify(themeSelect.value));
    applyTheme();
    document.dispatchEvent(new Event("theme"));
  });
}

document.getElementById("language")?.addEventListener("change", (event) => event.target.form.submit());
document.querySelectorAll("[data-submit]").forEach((field) =>
  field.addEventListener("change", () => field.form.submit())
);

// A box for all that match, also on other pages: it ticks the boxes of the rows and keeps them from being changed.
document.querySelectorAll("[data-all]").forEach((every) => {
  const follow = () =>
    document.querySelectorAll(`input[name="${every.dataset.all}"][form="${every.form.id}"]`).forEach((box) => {
      if (every.checked || box.disabled) box.checked = every.checked;
      box.disabled = every.checked;
    });
  every.addEventListener("change", follow);
  // The browser restores ticks when one comes back.
  addEventListener("pageshow", follow);
});

// The server writes times in UTC; show them in the reader's time zone.
function localTimes() {
  // Among the English locales, en-CA has the unambiguous order year, month, day.
  const format = new Intl.DateTimeFormat(document.documentElement.lang === "fr" ? "fr" : "en-CA", {
    year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
  });
  document.querySelectorAll("time[data-utc]").forEach((time) => {
    time.textContent = format.format(new Date(time.dateTime));
    time.removeAttribute("data-utc");
  });
}

localTimes();
document.addEventListener("refreshed", localTimes);

// Parts with live numbers have an id and data-live. The server renders them; this only replaces their content. It sends
// no requests while the tab is hidden, and refreshes at once when the tab is shown again.
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
    for (const part of parts) {
      const replacement = fresh.getElementById(part.id);
      part.classList.toggle("stale", !replacement);
      // Don't replace a part that has the focus: the reader is using it.
      if (replacement && !part.contains(document.activeElement)) part.replaceChildren(...replacement.childNodes);
    }
  } catch {
    parts.forEach((part) => part.classList.add("stale"));
  } finally {
    refreshing = false;
  }
  document.dispatchEvent(new Event("refreshed"));
}

setInterval(refresh, REFRESH_MS);
document.addEventListener("visibilitychange", () => document.hidden || refresh());
