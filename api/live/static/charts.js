// Line charts over the last ten minutes: uPlot on a canvas, with a legend of ours that shows the value under the pointer.

import { clock, element, NONE, put, short } from "./format.js";

const SPAN_S = 600;
const SHORTEST_S = 60;
const GAP_MS = 10000; // nobody looked for so long: no line is drawn over it
const FILL = "1f"; // how much of a line's colour the area under it has

const root = document.documentElement;
let styles = getComputedStyle(root);
const charts = [];

const colour = (name) => styles.getPropertyValue(name).trim();

function axis(scale, side, more = {}) {
  return {
    scale,
    side,
    stroke: () => colour("--dim"),
    font: "11px system-ui, sans-serif",
    grid: { stroke: () => colour("--rule"), width: 1 },
    ticks: { show: false },
    ...more,
  };
}

const times = [
  [60, "{HH}:{mm}", null, null, null, null, null, null, 1],
  [1, "{HH}:{mm}:{ss}", null, null, null, null, null, null, 1],
];

// What the pointer's or the newest value reads like, series by series.
export class Chart {
  // lines: [{ name, colour, scale?, show: value -> text }]; fromZero: the axis begins at 0; area: filled below the
  // lines; sparse: a line that was 0 all the time is not drawn, so that it hides no other
  constructor(id, title, lines, { fromZero = true, text = short, ticks = short, area = false, sparse = false } = {}) {
    this.title = title;
    this.lines = lines;
    this.text = text;
    this.sparse = sparse;
    this.rows = [];
    this.plot = document.getElementById(id);
    this.plot.setAttribute("role", "img");
    this.legend = this.plot.nextElementSibling;
    this.time = this.plot.previousElementSibling.querySelector("time");
    this.values = lines.map((line) => {
      const key = element("i");
      key.style.background = `var(${line.colour})`;
      const value = element("b", {}, NONE);
      this.legend.append(element("li", {}, key, line.name, value));
      return value;
    });
    this.empty = element("p", { class: "empty over" }, "No values yet");
    this.plot.append(this.empty);
    const right = lines.some((line) => line.scale === "right");
    const range = fromZero
      ? (_, __, high) => [0, high > 0 ? high * 1.08 : 1]
      : (_, low, high) => {
          const room = (high - low) * 0.1 || Math.abs(high) * 0.01 || 1;
          return [low - room, high + room];
        };
    const spine = (scale, side) => axis(scale, side, { size: 56, values: (_, found) => found.map(ticks) });
    this.u = new uPlot({
      ...this.size(),
      pxAlign: 0,
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 }, sync: { key: "time", scales: ["x", null] } },
      scales: { x: { range: (_, low, high) => window_(low, high) }, left: { range }, right: { range } },
      axes: [
        axis("x", 2, { values: times, size: 28, space: 70 }),
        spine("left", 3),
        ...(right ? [{ ...spine("right", 1), grid: { show: false } }] : []),
      ],
      series: [
        {},
        ...lines.map((line) => ({
          label: line.name,
          scale: line.scale ?? "left",
          stroke: () => colour(line.colour),
          width: 1.8,
          ...(area ? { fill: () => `${colour(line.colour)}${FILL}` } : {}),
          points: { show: (_, __, first, last) => last - first < 2 },
        })),
      ],
      hooks: { setCursor: [() => this.describe()] },
    }, [[], ...lines.map(() => [])], this.plot);
    new ResizeObserver(() => this.u.setSize(this.size())).observe(this.plot);
    charts.push(this);
  }

  size() {
    return { width: Math.max(200, this.plot.clientWidth), height: this.plot.clientHeight };
  }

  // rows: [at_ms, a value or null per line]
  set(rows) {
    this.rows = rows.flatMap((row, n) => (n && row[0] - rows[n - 1][0] > GAP_MS ? [[row[0] - 1], row] : [row]));
    this.draw();
  }

  draw() {
    const columns = [this.rows.map((row) => row[0] / 1000)];
    this.lines.forEach((_, n) => columns.push(this.rows.map((row) => row[n + 1] ?? null)));
    this.empty.hidden = columns.slice(1).some((column) => column.some((value) => value != null));
    this.u.setData(this.sparse ? columns.map((column) => (column.some((value) => value) ? column : column.fill(null))) : columns);
    this.describe();
  }

  describe() {
    const under = this.u?.cursor.idx;
    const row = this.rows[under ?? this.rows.length - 1];
    put(this.time, under != null && row ? `at ${clock(row[0])}` : "");
    const texts = this.lines.map((line, n) => (row?.[n + 1] == null ? NONE : (line.show ?? this.text)(row[n + 1], row)));
    this.values.forEach((value, n) => put(value, texts[n]));
    const label = `${this.title}: ${this.lines.map((line, n) => `${line.name} ${texts[n]}`).join(", ")}`;
    if (this.plot.getAttribute("aria-label") !== label) this.plot.setAttribute("aria-label", label);
  }
}

function window_(low, high) {
  if (low == null) {
    const now = Date.now() / 1000;
    return [now - SHORTEST_S, now];
  }
  return [Math.max(high - SPAN_S, Math.min(low, high - SHORTEST_S)), high];
}

export function repaint() {
  styles = getComputedStyle(root);
  for (const chart of charts) chart.u.redraw(false, true);
}
