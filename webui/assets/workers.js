// The chart of the workers' page, drawn from the table below it.
"use strict";

const MOST = 20;
const box = document.getElementById("workers-chart");
let chart = null;

Chart.defaults.font.family = "Inter, system-ui, sans-serif";

function draw() {
  const number = new Intl.NumberFormat(document.documentElement.lang);
  const rows = [...document.querySelectorAll("#workers tr")].slice(0, MOST);
  const data = {
    labels: rows.map((row) => row.querySelector(".alias").textContent.slice(0, 24)),
    datasets: [
      {
        label: box.dataset.closed,
        data: rows.map((row) => Number(row.dataset.count)),
        backgroundColor: colour("--c-closed"),
        borderRadius: 3,
        maxBarThickness: 40,
      },
    ],
  };
  const ticks = { color: colour("--subtle") };
  const options = {
    animation: false,
    maintainAspectRatio: false,
    plugins: { legend: { display: false } },
    scales: {
      x: { ticks, grid: { display: false } },
      y: { beginAtZero: true, grid: { color: colour("--line") }, ticks: { ...ticks, precision: 0, callback: (value) => number.format(value) } },
    },
  };
  if (chart) {
    Object.assign(chart, { data, options });
    chart.update("none");
  } else {
    chart = new Chart(box.querySelector("canvas"), { type: "bar", data, options });
  }
}

if (box) {
  draw();
  document.addEventListener("refreshed", draw);
  document.addEventListener("theme", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}
