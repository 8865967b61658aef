// The charts of a project's page. Their numbers are in the page, so that they are of the same moment as its tiles. They are
// drawn again whenever page.js has refreshed the page, which it does only while the tab is visible.
"use strict";

const language = document.documentElement.lang;
const number = new Intl.NumberFormat(language);
const share = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 });
const LEVELS = { ready: "ready", leased: "leased", delayed: "delayed", awaiting: "awaiting", failed: "failed", closed: "closed" };
const ENDS = { closed: "closed", failed: "failed", expired: "awaiting" };
const charts = {};

Chart.defaults.font.family = "Inter, system-ui, sans-serif";

const label = (element, name) => element.dataset[`label${name[0].toUpperCase()}${name.slice(1)}`];

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
  element.dataset.note = element.dataset[state] || "";
  element.querySelector("canvas").style.visibility = state === "drawn" ? "visible" : "hidden";
}

const english = language === "en" ? "en-GB" : language;
const long = new Intl.DateTimeFormat(english, { dateStyle: "medium", timeStyle: "short" });

function shortFormat(seconds) {
  const days = { day: "numeric", month: "short", ...(seconds > 300 * 86400 && { year: "numeric" }) };
  return new Intl.DateTimeFormat(english, seconds > 2 * 86400 ? days : { hour: "2-digit", minute: "2-digit" });
}

// Ticks at full minutes, hours or days in the reader's time zone.
const HOUR = 3600;
const DAY = 24 * HOUR;
const STEPS = [60, 120, 300, 600, 900, 1800, HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, DAY, 3 * DAY, 7 * DAY, 30 * DAY, 90 * DAY];

function ticks(begin, end) {
  const step = STEPS.find((seconds) => (end - begin) / seconds <= 7) || 365 * DAY;
  const midnight = new Date(end * 1000).setHours(0, 0, 0, 0);
  const found = [];
  for (let at = midnight + DAY * 1000; at >= begin * 1000; at -= step * 1000) {
    if (at <= end * 1000) found.unshift({ value: at });
  }
  return found;
}

// The options that both charts over time share.
function overTime(data, begin, end, stacked) {
  const short = shortFormat(end - begin);
  const axes = {
    x: {
      type: "linear",
      min: begin * 1000,
      max: end * 1000,
      offset: false,
      stacked,
      grid: { color: colour("--line"), offset: false },
      afterBuildTicks: (axis) => (axis.ticks = ticks(begin, end)),
      ticks: { color: colour("--subtle"), maxRotation: 0, autoSkipPadding: 16, callback: (value) => short.format(value) },
    },
    y: {
      beginAtZero: true,
      stacked,
      grid: { color: colour("--line") },
      ticks: { color: colour("--subtle"), precision: 0, callback: (value) => number.format(value) },
    },
  };
  const plugins = {
    legend: { labels: { color: colour("--text"), usePointStyle: true, pointStyle: stacked ? "rect" : "line" } },
    tooltip: {
      callbacks: {
        title: (items) => timeOf(items[0], stacked ? data.ended.step : 0),
        label: (item) => `${item.dataset.label}: ${number.format(item.parsed.y)}`,
      },
    },
  };
  return { scales: axes, plugins, marks: data.versions };
}

// A bar stands in the middle of its time.
const timeOf = (item, step) => (step ? between(item.parsed.x / 1000 - step / 2, step) : long.format(item.parsed.x));
const between = (from, step) => long.formatRange(from * 1000, (from + step) * 1000);

function drawOverTime(id, type, datasets, options) {
  const element = document.getElementById(id);
  setState(element, "drawn");
  if (charts[id]) {
    // Update the datasets in place, so that a series switched off in the legend stays off.
    charts[id].data.datasets.forEach((dataset, n) => Object.assign(dataset, datasets[n]));
    Object.assign(charts[id].options, options);
    charts[id].update("none");
  } else {
    charts[id] = new Chart(element.querySelector("canvas"), {
      type,
      data: { datasets },
      options: {
        animation: false,
        maintainAspectRatio: false,
        interaction: { mode: type === "bar" ? "x" : "nearest", axis: "x", intersect: false },
        ...options,
      },
      plugins: [versionMarks],
    });
  }
}

function drawLevels(data) {
  const element = document.getElementById("timeline");
  const datasets = Object.entries(LEVELS).map(([name, variable]) => ({
    label: label(element, name),
    data: data.times.map((time, n) => ({ x: time * 1000, y: data[name][n] })),
    borderColor: colour(`--c-${variable}`),
    backgroundColor: colour(`--c-${variable}`),
    borderWidth: 2,
    pointRadius: data.times.length > 1 ? 0 : 3,
    pointHitRadius: 8,
    tension: 0,
  }));
  drawOverTime("timeline", "line", datasets, overTime(data, data.begin, data.end, false));
  const cells = (time, n) => [long.format(time * 1000), ...Object.keys(LEVELS).map((name) => number.format(data[name][n]))];
  fillTable("timeline-table", data.times.map(cells));
}

function drawEnds(data) {
  const element = document.getElementById("ended");
  const { step, times } = data.ended;
  const datasets = Object.entries(ENDS).map(([name, variable]) => ({
    label: label(element, name),
    data: times.map((time, n) => ({ x: (time + step / 2) * 1000, y: data.ended[name][n] })),
    backgroundColor: colour(`--c-${variable}`),
    barPercentage: 1,
    categoryPercentage: times.length > 100 ? 1 : 0.85,
    maxBarThickness: 60,
  }));
  drawOverTime("ended", "bar", datasets, overTime(data, times[0], times.at(-1) + step, true));
  const totals = Object.keys(ENDS).map((name) => `${label(element, name)}: ${number.format(data.total[name])}`);
  document.getElementById("ended-text").textContent = totals.join(", ");
  const cells = (time, n) => [between(time, step), ...Object.keys(ENDS).map((name) => number.format(data.ended[name][n]))];
  fillTable("ended-table", times.map(cells));
}

// The newest first.
function fillTable(id, rows) {
  document.querySelector(`#${id} tbody`).replaceChildren(...rows.slice(-50).reverse().map(tableRow));
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

// Writes a text into the hole of a ring.
const hole = {
  id: "hole",
  afterDatasetsDraw(chart) {
    const arc = chart.getDatasetMeta(0).data[0];
    if (!arc || !chart.options.hole) return;
    const { ctx } = chart;
    ctx.save();
    ctx.fillStyle = colour("--strong");
    ctx.font = `600 ${Math.round(arc.innerRadius / 3)}px Inter, sans-serif`;
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    ctx.fillText(chart.options.hole, arc.x, arc.y);
    ctx.restore();
  },
};

function drawRound(id, parts, { inside = "", told = "" } = {}) {
  const element = document.getElementById(id);
  const shown = parts.filter((part) => part.count > 0);
  setState(element, shown.length ? "drawn" : "empty");
  const texts = shown.map((part) => `${part.name}: ${number.format(part.count)}`);
  document.getElementById(`${id}-text`).textContent = [told, ...texts].filter(Boolean).join(", ");
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
    Object.assign(charts[id].options, { plugins, hole: inside });
    charts[id].update("none");
  } else {
    charts[id] = new Chart(element.querySelector("canvas"), {
      type: "doughnut",
      data,
      options: { animation: false, maintainAspectRatio: false, cutout: "65%", plugins, hole: inside },
      plugins: [hole],
    });
  }
}

// Light and dark alternate, so that colour-blind readers can tell neighbouring segments apart.
const ring = (n, all) => `hsl(${Math.round((360 * n) / Math.max(all, 1) + 215) % 360} 62% ${n % 2 ? 64 : 47}%)`;

function draw() {
  const box = document.getElementById("numbers");
  const data = JSON.parse(box.textContent);
  drawLevels(data);
  drawEnds(data);
  const states = document.getElementById("states");
  const parts = ["ready", "leased", "delayed", "failed", "closed"].map((name) => ({
    name: label(states, name), count: data.now[name], colour: colour(`--c-${name}`),
  }));
  // Rounded down: 100 % means that all is done.
  const done = data.now.done_share === null ? "" : share.format(Math.floor(data.now.done_share * 1000) / 1000);
  drawRound("states", parts, { inside: done, told: done && `${states.dataset.done} ${done}` });
  drawRound("assignees", data.assignees.map((one, n) => ({ ...one, colour: ring(n, data.assignees.length) })));
  // As pale as the other parts when they could not be refreshed.
  document.querySelectorAll(".chart").forEach((chart) => chart.classList.toggle("stale", box.matches(".stale")));
  document.documentElement.dataset.drawn = String(Number(document.documentElement.dataset.drawn || 0) + 1);
}

document.addEventListener("refreshed", draw);
document.addEventListener("theme", draw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
draw();
