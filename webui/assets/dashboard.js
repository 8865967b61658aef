// The charts of a project's page. They load their numbers whenever page.js has refreshed the page, which it does only
// while the tab is visible.
"use strict";

const box = document.getElementById("timeline");
const language = document.documentElement.lang;
const number = new Intl.NumberFormat(language);
const SERIES = ["ready", "leased", "awaiting", "failed", "closed"];
const charts = {};

Chart.defaults.font.family = "Inter, system-ui, sans-serif";

const label = (name) => (name === "failed" ? box.dataset.failedLabel : box.dataset[name]);

// Draws a vertical line wherever the project's version changed.
const versionMarks = {
  id: "versionMarks",
  afterDatasetsDraw(chart) {
    const { ctx, chartArea: area, scales } = chart;
    ctx.save();
    ctx.strokeStyle = colour("--subtle");
    ctx.fillStyle = colour("--subtle");
    ctx.font = "11px Inter, sans-serif";
    ctx.setLineDash([4, 4]);
    for (const mark of chart.options.marks || []) {
      const x = scales.x.getPixelForValue(mark.time * 1000);
      if (x < area.left || x > area.right) continue;
      ctx.beginPath();
      ctx.moveTo(x, area.top);
      ctx.lineTo(x, area.bottom);
      ctx.stroke();
      const text = mark.version.slice(0, 8);
      const fits = x + 4 + ctx.measureText(text).width < area.right;
      ctx.textAlign = fits ? "left" : "right";
      ctx.fillText(text, fits ? x + 4 : x - 4, area.top + 10);
    }
    ctx.restore();
  },
};

function setState(element, state) {
  element.dataset.state = state;
  element.dataset.note = element.dataset[state] || box.dataset[state] || "";
  element.querySelector("canvas").style.visibility = state === "drawn" ? "visible" : "hidden";
}

function timeFormat(seconds) {
  const options = seconds > 2 * 86400 ? { day: "numeric", month: "short" } : { hour: "2-digit", minute: "2-digit" };
  return new Intl.DateTimeFormat(language === "en" ? "en-GB" : language, options);
}

// Ticks at full hours or days in the reader's time zone.
function ticks(seconds, now) {
  const [, step] = [[3600, 600], [86400, 4 * 3600], [7 * 86400, 86400]].find(([most]) => seconds <= most) || [0, 3 * 86400];
  const midnight = new Date(now).setHours(0, 0, 0, 0);
  const found = [];
  for (let at = midnight + 86400000; at > now - seconds * 1000; at -= step * 1000) {
    if (at <= now) found.unshift({ value: at });
  }
  return found;
}

function drawTimeline(data) {
  setState(box, data.times.length ? "drawn" : "empty");
  const short = timeFormat(data.seconds);
  const long = new Intl.DateTimeFormat(language === "en" ? "en-GB" : language, { dateStyle: "medium", timeStyle: "short" });
  const datasets = SERIES.map((name) => ({
    label: label(name),
    data: data.times.map((time, n) => ({ x: time * 1000, y: data[name][n] })),
    borderColor: colour(`--c-${name}`),
    backgroundColor: colour(`--c-${name}`),
    borderWidth: 2,
    pointRadius: data.times.length > 1 ? 0 : 3,
    pointHitRadius: 8,
    stepped: false,
    tension: 0,
  }));
  const now = Date.now();
  const axes = {
    x: {
      type: "linear",
      min: now - data.seconds * 1000,
      max: now,
      grid: { color: colour("--line") },
      afterBuildTicks: (axis) => (axis.ticks = ticks(data.seconds, now)),
      ticks: { color: colour("--subtle"), maxRotation: 0, autoSkipPadding: 16, callback: (value) => short.format(value) },
    },
    y: {
      beginAtZero: true,
      grid: { color: colour("--line") },
      ticks: { color: colour("--subtle"), precision: 0, callback: (value) => number.format(value) },
    },
  };
  const plugins = {
    legend: { labels: { color: colour("--text"), usePointStyle: true, pointStyle: "line" } },
    tooltip: {
      callbacks: {
        title: (items) => long.format(items[0].parsed.x),
        label: (item) => `${item.dataset.label}: ${number.format(item.parsed.y)}`,
      },
    },
  };
  if (charts.timeline) {
    // Update the datasets in place, so that a series switched off in the legend stays off.
    charts.timeline.data.datasets.forEach((dataset, n) => Object.assign(dataset, datasets[n]));
    Object.assign(charts.timeline.options, { scales: axes, plugins, marks: data.versions });
    charts.timeline.update("none");
  } else {
    charts.timeline = new Chart(box.querySelector("canvas"), {
      type: "line",
      data: { datasets },
      options: {
        animation: false,
        maintainAspectRatio: false,
        interaction: { mode: "nearest", axis: "x", intersect: false },
        scales: axes,
        plugins,
        marks: data.versions,
      },
      plugins: [versionMarks],
    });
  }
  const rows = data.times.map((time, n) => [long.format(time * 1000), ...SERIES.map((name) => number.format(data[name][n]))]);
  const body = document.querySelector("#timeline-table tbody");
  body.replaceChildren(...rows.slice(-50).reverse().map(tableRow));
}

function tableRow(cells) {
  const row = document.createElement("tr");
  cells.forEach((text, n) => {
    const cell = document.createElement(n ? "td" : "th");
    if (n) cell.className = "number";
    else cell.scope = "row";
    cell.textContent = text;
    row.append(cell);
  });
  return row;
}

function drawRound(id, parts) {
  const element = document.getElementById(id);
  const shown = parts.filter((part) => part.count > 0);
  setState(element, shown.length ? "drawn" : "empty");
  document.getElementById(`${id}-text`).textContent = shown
    .map((part) => `${part.name}: ${number.format(part.count)}`)
    .join(", ");
  const data = {
    labels: shown.map((part) => part.name.slice(0, 40)),
    datasets: [
      {
        data: shown.map((part) => part.count),
        backgroundColor: shown.map((part) => part.colour),
        borderColor: colour("--surface"),
        borderWidth: 2,
      },
    ],
  };
  const wide = element.clientWidth > 340;
  const plugins = {
    legend: { position: wide ? "right" : "bottom", labels: { color: colour("--text"), boxWidth: 10, boxHeight: 10, filter: (item) => item.index < 8 } },
    tooltip: { callbacks: { label: (item) => ` ${number.format(item.parsed)}` } },
  };
  if (charts[id]) {
    charts[id].data = data;
    charts[id].options.plugins = plugins;
    charts[id].update("none");
  } else {
    charts[id] = new Chart(element.querySelector("canvas"), {
      type: "doughnut",
      data,
      options: { animation: false, maintainAspectRatio: false, cutout: "65%", plugins },
    });
  }
}

// Light and dark alternate, so that colour-blind readers can tell neighbouring segments apart.
const ring = (n, all) => `hsl(${Math.round((360 * n) / Math.max(all, 1) + 215) % 360} 62% ${n % 2 ? 64 : 47}%)`;

let last = null;

function draw(data) {
  last = data;
  drawTimeline(data);
  const now = data.now;
  const states = ["ready", "leased", "failed"];
  drawRound("states", states.map((name) => ({ name: label(name), count: now[name], colour: colour(`--c-${name}`) })));
  drawRound("assignees", data.assignees.map((one, n) => ({ ...one, colour: ring(n, data.assignees.length) })));
  document.documentElement.dataset.drawn = String(Number(document.documentElement.dataset.drawn || 0) + 1);
}

let asking = false;

async function load() {
  // One request at a time: an older response must not arrive after a newer one.
  if (asking) return;
  asking = true;
  try {
    const response = await fetch(box.dataset.address, { headers: { Accept: "application/json" } });
    if (!response.ok || response.redirected) throw new Error(String(response.status));
    draw(await response.json());
  } catch {
    if (!last) document.querySelectorAll(".chart").forEach((chart) => setState(chart, "failed"));
  } finally {
    asking = false;
  }
}

document.addEventListener("refreshed", load);
document.addEventListener("theme", () => last && draw(last));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => last && draw(last));
load();
