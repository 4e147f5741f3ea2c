// The live page: what comes with the stream goes to the panels, the charts and the tables.

import { Chart, repaint } from "./charts.js";
import { can, confirmed, offer, send } from "./commands.js";
import { Faults } from "./faults.js";
import { amountTo, clock, duration, milliseconds, put, rate } from "./format.js";
import { makeStates, Pools, showHead, showLost, showSparks, showStates, showTables, showTiles, STATES, stateColour, STOP_ALL } from "./panels.js";
import { askKey, read, storedKey } from "./remote.js";
import { listen } from "./stream.js";
import { Threads } from "./threads.js";

const $ = (id) => document.getElementById(id);
const KINDS = [["deposit", "--k0"], ["withdrawal", "--k1"], ["swap", "--k2"], ["share", "--k3"], ["refill", "--k4"], ["probe", "--k5"]];
const PERCENTILES = [{ name: "p50", colour: "--k0" }, { name: "p99", colour: "--k4" }];

const operations = new Chart("chart-operations", "Confirmed operations per second", KINDS.map(([name, colour]) => ({ name, colour })), { text: rate });
const lateness = new Chart("chart-lateness", "Lateness of cycles", PERCENTILES, { text: milliseconds, ticks: duration });
const confirm = new Chart("chart-confirm", "Time to confirmation", PERCENTILES, { text: milliseconds, ticks: duration });
const states = new Chart("chart-threads", "Threads by state", STATES.map((name) => ({ name, colour: stateColour(name) })), { area: true, sparse: true });
// The rows of a pool carry the exact amounts as text, behind what is drawn.
const exact = (n) => (_, row) => amountTo(row[3][n + 1], pools.decimals(pools.chosen)[n], 6);
const reserves = new Chart("chart-reserves", "Reserves", [{ name: "token A", colour: "--k0", show: exact(0) }, { name: "token B", colour: "--k1", scale: "right", show: exact(1) }], { fromZero: false });
const surplus = new Chart("chart-surplus", "Value invariant G", [{ name: "G", colour: "--k3", show: (_, row) => BigInt(row[2][3]).toLocaleString("en") }], { fromZero: false, area: true });

const faults = new Faults();
const threads = new Threads();
const pools = new Pools(showPool, commandPool);
makeStates((name) => threads.choose(name));

let hello = { columns: [], kept: 300 };
let rows = [];
let poolTexts = []; // at_ms, then amounts as text
let last = null;
let first = true;

function drawAll() {
  const at = Object.fromEntries(hello.columns.map((name, n) => [name, n]));
  const pick = (...names) => rows.map((row) => [row[0], ...names.map((name) => row[at[name]])]);
  operations.set(pick(...KINDS.map(([name]) => `${name}_per_s`)));
  lateness.set(pick("lateness_p50_ms", "lateness_p99_ms"));
  confirm.set(pick("confirm_p50_ms", "confirm_p99_ms"));
  states.set(pick(...STATES));
  showSparks({
    transactions: pick("transactions_per_s"),
    cycles: pick("cycles_per_s"),
    lateness: pick("lateness_p99_ms"),
    confirm: pick("confirm_p50_ms"),
  });
}

function drawPool() {
  const [a, b] = pools.decimals(pools.chosen);
  reserves.set(poolTexts.map((row) => [row[0], Number(row[1]) / 10 ** a, Number(row[2]) / 10 ** b, row]));
  surplus.set(poolTexts.map((row) => [row[0], Number(row[3]), row]));
}

async function showPool(id) {
  poolTexts = [];
  drawPool();
  if (!id) return;
  try {
    const found = await read(`live/pools/${encodeURIComponent(id)}`);
    if (id !== pools.chosen) return;
    poolTexts = found.rows;
    drawPool();
  } catch { /* what the stream brings is shown all the same */ }
}

async function commandPool(method, id, button) {
  const text = `Every running thread of pool ${id} stops once its open operation is settled.`;
  if (method === STOP_ALL && !(await confirmed("Stop all threads of this pool?", text, "Stop all"))) return;
  button.dataset.busy = id;
  await send(method, { pool_id: id }, `${method === STOP_ALL ? "Stopping" : "Starting"} the threads of pool ${pools.label(id)}`, button);
  delete button.dataset.busy;
  threads.load(true);
}

const on = {
  hello(found) {
    hello = found;
    rows = found.rows;
    offer(found.methods);
    drawAll();
    if (pools.chosen) showPool(pools.chosen);
  },
  pools(list) {
    threads.pools(list);
    if (pools.known(list)) showPool(pools.chosen);
  },
  snapshot(shown) {
    last = shown;
    showHead(shown);
    showTiles(shown);
    showStates(shown.threads);
    showTables(shown);
    pools.show(shown.pools, can);
    faults.show(shown.faults.count);
    $("pause").hidden = !can("pause") || shown.paused;
    $("resume").hidden = !can("resume") || !shown.paused;
    put($("updated"), clock(shown.at_ms));
    if (shown.row) append(shown);
    if (first) {
      first = false;
      threads.live = true;
      threads.load();
      performance.mark("first-snapshot");
    }
  },
  unavailable({ reason }) {
    tell("lost", `${reason}, retrying`);
  },
};

function append(shown) {
  rows = [...rows, shown.row].slice(-hello.kept);
  drawAll();
  const pool = shown.pools.find((one) => one.id === pools.chosen);
  if (pool?.slot) {
    poolTexts = [...poolTexts, [shown.at_ms, pool.liquidity_a, pool.liquidity_b, pool.surplus]].slice(-hello.kept);
    drawPool();
  }
}

function tell(state, text) {
  document.body.classList.toggle("stale", state !== "live" && last !== null);
  threads.live = state === "live" && !first;
  if (state === "lost" && last) showLost(last);
  $("connection").className = state;
  put($("connection-text"), text);
}

const stream = listen((name, document_) => on[name]?.(document_), tell);

$("key").addEventListener("click", async () => {
  const before = storedKey();
  await askKey("The key is kept in this tab only, until the tab is closed.");
  if (storedKey() !== before) stream.retry();
});
$("pause").addEventListener("click", async () => {
  if (await confirmed("Pause the service?", "Open operations settle, nothing new is submitted until the service is resumed.", "Pause")) {
    await send("pause", {}, "Pausing the service", $("pause"));
  }
});
$("resume").addEventListener("click", () => send("resume", {}, "Resuming the service", $("resume")));

document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || /^(input|select|textarea)$/i.test(event.target.tagName) || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  threads.find();
});

const THEMES = { auto: ["Auto", "as the system"], dark: ["Dark", "dark"], light: ["Light", "light"] };
const NEXT = { auto: "dark", dark: "light", light: "auto" };
let theme = document.documentElement.dataset.theme ?? "auto";

function applyTheme() {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  put($("theme"), THEMES[theme][0]);
  $("theme").setAttribute("aria-label", `Colours: ${THEMES[theme][1]}`);
  repaint();
}

$("theme").addEventListener("click", () => {
  theme = NEXT[theme];
  try {
    localStorage.setItem("frt-theme", theme);
  } catch { /* it holds for this visit */ }
  applyTheme();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
applyTheme();
