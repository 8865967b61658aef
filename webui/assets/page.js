// Functions of the pages: copy buttons, colours of charts, and filters that apply at once.
"use strict";

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) copy(button);
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
