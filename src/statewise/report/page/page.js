"use strict";
// Draws the charts of a report from the JSON in the page, each when it comes into view.

const data = JSON.parse(document.getElementById("data").textContent);
const DASHES = { solid: "solid", dashed: "dash", dotted: "dot", dashdot: "dashdot" };
const SYMBOLS = {
  o: "circle", s: "square", "^": "triangle-up", v: "triangle-down", D: "diamond", P: "cross", X: "x",
  "<": "triangle-left", ">": "triangle-right", "*": "star", h: "hexagon",
};
const CONFIG = { responsive: true, displaylogo: false, displayModeBar: "hover", modeBarButtonsToRemove: ["lasso2d", "select2d"] };

function line(label) {
  const style = data.styles[label];
  return { color: style.colour, dash: DASHES[style.line], width: 2 };
}

function see_through(colour, alpha) {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return `rgba(${r},${g},${b},${alpha})`;
}

// The legend stands below the axis, in as many rows as it needs.
function layout(element, more) {
  const rows = Math.ceil(Object.keys(data.styles).length / Math.max(1, Math.floor(element.clientWidth / 140)));
  return {
    margin: { l: 56, r: 12, t: 36, b: 64 + 20 * rows },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: "#6b7280", activecolor: "#111827" },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, sans-serif", size: 13, color: "#111827" },
    hovermode: "closest",
    legend: { orientation: "h", yref: "container", y: 0, yanchor: "bottom" },
    ...more,
  };
}

const axis = (title, more) => ({ title: { text: title }, gridcolor: "#e5e7eb", zeroline: false, ...more });

function limit_line(limit, reference) {
  if (limit === null || limit === undefined) return [];
  return [{ type: "line", xref: "paper", x0: 0, x1: 1, yref: reference, y0: limit, y1: limit,
            line: { color: "#6b7280", dash: "dot", width: 1.5 } }];
}

// Costs go from none to every step: linear up to the limit, logarithmic above it.
function squeeze(limit) {
  const knee = limit > 0 ? limit : 1;
  return (y) => (y === null || y <= knee ? y / knee : 1 + Math.log10(y / knee));
}

function cost_ticks(limit, most) {
  const knee = limit > 0 ? limit : 1;
  const values = [0, knee];
  for (let tick = knee * 10; tick < most * 1.5; tick *= 10) values.push(tick);
  const f = squeeze(limit);
  return { tickvals: values.map(f), ticktext: values.map((v) => String(+v.toPrecision(3))) };
}

function curves(element, task) {
  const seeds = document.getElementById("seeds").checked;
  const limit = data.limits[task];
  const f = squeeze(limit);
  const traces = [];
  let most = 1;
  const returns = [];
  for (const [row, column] of ["return", "cost"].entries()) {
    const change = column === "cost" ? (ys) => ys.map((y) => (y === null ? null : f(y))) : (ys) => ys;
    const where = row === 0 ? {} : { xaxis: "x2", yaxis: "y2" };
    for (const band of data.bands.filter((b) => b.task === task && b.column === column)) {
      const shared = { ...where, legendgroup: band.label, name: band.label };
      if (column === "cost") most = Math.max(most, ...band.value);
      else returns.push(...band.value);
      if (seeds) {
        for (const run of data.runs.filter((r) => r.task === task && r.label === band.label)) {
          const seen = JSON.parse(document.getElementById(`run-${run.number}`).textContent).evaluations;
          traces.push({ ...shared, x: seen.step, y: change(seen[column]), showlegend: false, hoverinfo: "skip",
                        mode: "lines", opacity: 0.45, line: { ...line(band.label), width: 1 } });
        }
      } else if (band.low.every((y) => y !== null)) {
        traces.push({ ...shared, x: [...band.step, ...[...band.step].reverse()], fill: "toself", showlegend: false,
                      y: change([...band.high, ...[...band.low].reverse()]), hoverinfo: "skip", mode: "lines",
                      line: { width: 0 }, fillcolor: see_through(data.styles[band.label].colour, 0.15) });
      }
      traces.push({ ...shared, x: band.step, y: change(band.value), customdata: band.value, mode: "lines",
                    line: line(band.label), showlegend: row === 0,
                    hovertemplate: `%{x:,} steps: %{customdata:.4~g}<extra>${band.label}</extra>` });
    }
  }
  // The means are framed, not their intervals: those of two or three seeds would dwarf everything.
  const [lowest, highest] = [Math.min(...returns), Math.max(...returns)];
  const room = 0.15 * (highest - lowest || 1);
  const form = layout(element, {
    title: { text: data.short[task], x: 0.01 },
    grid: { rows: 2, columns: 1, pattern: "independent" },
    xaxis: axis("", { matches: "x2", showticklabels: false }),
    yaxis: axis("return", { range: [lowest - room, highest + room] }),
    xaxis2: axis("environment steps"),
    yaxis2: axis("cost", { ...cost_ticks(limit, most), range: [-0.05, f(most) * 1.1] }),
    shapes: limit_line(limit === null ? null : f(limit), "y2"),
  });
  return Plotly.react(element, traces, form, CONFIG);
}

function error(low, high, value) {
  if (low === null || high === null) return undefined;
  return { type: "data", symmetric: false, array: [high - value], arrayminus: [value - low], thickness: 1.2 };
}

function scatter(element) {
  const traces = data.trade_off.map((point) => ({
    x: [point.cost.value], y: [point.return.value], name: point.label, mode: "markers",
    error_x: error(point.cost.low, point.cost.high, point.cost.value),
    error_y: error(point.return.low, point.return.high, point.return.value),
    marker: { size: 12, color: data.styles[point.label].colour, symbol: SYMBOLS[data.styles[point.label].marker] },
  }));
  const form = layout(element, { xaxis: axis("normalised cost (lower is safer)", { range: [1.08, -0.08] }),
                        yaxis: axis("normalised return", { range: [-0.08, 1.08] }) });
  return Plotly.react(element, traces, form, CONFIG);
}

function profiles(element) {
  const traces = data.profiles.map((profile) => ({
    x: profile.score, y: profile.value, name: profile.label, mode: "lines", line: { ...line(profile.label), shape: "hv" },
  }));
  const form = layout(element, { xaxis: axis("normalised return"), yaxis: axis("share of runs above it", { range: [0, 1.02] }) });
  return Plotly.react(element, traces, form, CONFIG);
}

const PANELS = [
  ["evaluations", [["return", "return"]]],
  ["evaluations", [["cost", "cost"]]],
  ["training", [["lam_q10", "λ 10 %"], ["lam_q50", "λ 50 %"], ["lam_q90", "λ 90 %"], ["lam", "λ mean"]]],
  ["training", [["rho", "ρ"]]],
  ["training", [["f", "F̂ mean"], ["f_q90", "F̂ 90 %"]]],
  ["evaluations", [["f_bias", "bias of F̂"]]],
];

function open_run(number) {
  const detail = JSON.parse(document.getElementById(`run-${number}`).textContent);
  const place = document.getElementById("detail");
  const run = data.runs.find((r) => r.number === number);
  place.innerHTML = detail.html;
  const charts = document.createElement("div");
  charts.className = "charts";
  place.append(charts);
  // All places first: a chart takes the width that its place has when it is drawn.
  const shown = [];
  for (const [kind, columns] of PANELS) {
    const rows = detail[kind];
    const present = columns.filter(([column]) => rows[column] && rows[column].some((y) => y !== null));
    if (!present.length) continue;
    const element = document.createElement("div");
    element.className = "chart";
    element.setAttribute("role", "img");
    element.setAttribute("aria-label", `${present.map(([, name]) => name).join(", ")} of this run over its steps`);
    charts.append(element);
    shown.push([element, rows, present]);
  }
  for (const [element, rows, present] of shown) {
    const traces = present.map(([column, name]) => ({ x: rows.step, y: rows[column], name, mode: "lines" }));
    const shapes = present[0][0] === "cost" ? limit_line(data.limits[run.task], "y") : [];
    const title = present.length > 1 ? present[0][1].split(" ")[0] : present[0][1];
    Plotly.react(element, traces, layout(element, { xaxis: axis("environment steps"), yaxis: axis(title), shapes }), CONFIG);
  }
  place.querySelector("h3").focus();
}

const DRAW = { curves: (element) => curves(element, element.dataset.task), scatter, profiles };

const observer = new IntersectionObserver((entries) => {
  for (const entry of entries.filter((e) => e.isIntersecting)) {
    observer.unobserve(entry.target);
    DRAW[entry.target.dataset.chart](entry.target);
    entry.target.dataset.drawn = "yes";
  }
}, { rootMargin: "300px" });
document.querySelectorAll("[data-chart]").forEach((element) => observer.observe(element));

document.getElementById("seeds").addEventListener("change", () => {
  document.querySelectorAll('[data-chart="curves"][data-drawn]').forEach((element) => DRAW.curves(element));
});
// A run has an address of its own: #open-3.
function open_addressed() {
  const asked = /^#open-(\d+)$/.exec(location.hash);
  if (asked && document.getElementById(`run-${asked[1]}`)) open_run(Number(asked[1]));
}
window.addEventListener("hashchange", open_addressed);
document.querySelectorAll("button[data-run]").forEach((button) => {
  button.addEventListener("click", () => {
    if (location.hash === `#open-${button.dataset.run}`) open_addressed();
    else location.hash = `open-${button.dataset.run}`;
  });
});
open_addressed();
document.getElementById("filter").addEventListener("input", (event) => {
  const words = event.target.value.toLowerCase().split(/\s+/);
  document.querySelectorAll('table[data-table="runs"] tbody tr').forEach((row) => {
    row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
  });
});
