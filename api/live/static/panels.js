// Everything that shows one snapshot as it is: tiles, tables of counts, pools, notices.

import { amount, amountTo, clock, count, element, fillRows, milliseconds, NONE, put, rate, shortId, sol, span } from "./format.js";

const $ = (id) => document.getElementById(id);
export const STATES = ["running", "created", "stopped", "error"];
const STATE_COLOURS = { running: "--good", created: "--k0", stopped: "--dim", error: "--bad" };
const OUTCOMES = ["submitted", "confirmed", "failed_expected", "failed_unexpected", "expired", "recovered"];
const SVG = "http://www.w3.org/2000/svg";
const WORDS = { pass: "pass so far", fail: "fail", idle: "no load yet" };

export const START_ALL = "start_threads";
export const STOP_ALL = "stop_all_pool_threads";

const fields = Object.fromEntries(Array.from(document.querySelectorAll("[data-field]"), (node) => [node.dataset.field, node]));

// mood: "good" or "bad" where the figure says so by itself
function tile(name, text, mood = "") {
  put(fields[name], text);
  fields[name].parentNode.className = mood;
}

const zero = (value) => (value ? "bad" : "good");

// The last minutes of a figure behind it: rows of [at_ms, value or null].
export function showSparks(rows) {
  for (const [name, points] of Object.entries(rows)) {
    const known = points.filter(([, value]) => value != null);
    const most = Math.max(...known.map(([, value]) => value), 0) || 1;
    const from = known[0]?.[0] ?? 0;
    const length = (known.at(-1)?.[0] ?? 0) - from || 1;
    const places = known.map(([at, value]) => `${((100 * (at - from)) / length).toFixed(1)},${(29 - (27 * value) / most).toFixed(1)}`);
    spark(name).setAttribute("points", places.length > 1 ? places.join(" ") : "");
  }
}

function spark(name) {
  const tile = fields[name].parentNode;
  const found = tile.querySelector("polyline");
  if (found) return found;
  const svg = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({ class: "spark", viewBox: "0 0 100 30", preserveAspectRatio: "none", "aria-hidden": "true" })) svg.setAttribute(key, value);
  tile.append(svg);
  return svg.appendChild(document.createElementNS(SVG, "polyline"));
}

export function showHead(shown) {
  const { state } = shown.verdict;
  put($("verdict"), WORDS[state]);
  $("verdict").className = state;
  $("hero").className = `notices ${state}`;
  document.title = `${state === "fail" ? "FAIL" : state} · Stress test, live`;
  const started = Number(shown.run.started_at_ms ?? 0);
  const facts = [
    started ? `since ${clock(started)}, ${span(shown.at_ms - started)}` : "",
    shown.run.seed ? `seed ${shown.run.seed}` : "",
    `${count(STATES.reduce((sum, name) => sum + shown.threads[name], 0))} threads in ${count(shown.pools.length)} pools`,
  ];
  put($("facts"), facts.filter(Boolean).join(" · "));
  showNotices(shown);
}

function showNotices(shown) {
  const lines = [...shown.verdict.reasons.map((text) => ["bad", text]), ...shown.notices.map((text) => ["warn", text])];
  if (!lines.length) lines.push(["calm", shown.verdict.state === "idle" ? "Nothing has been submitted yet: create threads and start them" : "Nothing needs attention"]);
  listNotices(lines);
}

// The server is gone: what is on the page is of an earlier moment, and the verdict no longer a promise.
export function showLost(last) {
  $("hero").className = "notices lost";
  document.title = "no connection · Stress test, live";
  listNotices([["bad", `No connection to the server: everything below is as it was at ${clock(last.at_ms)}`]]);
}

function listNotices(lines) {
  const list = $("notices");
  while (list.children.length > lines.length) list.lastChild.remove();
  lines.forEach(([kind, text], n) => {
    const item = list.children[n] ?? list.appendChild(element("li"));
    item.className = kind;
    put(item, text);
  });
}

export function showTiles(shown) {
  const sum = (name) => Object.values(shown.operations).reduce((total, kind) => total + kind[name], 0);
  const unexpected = sum("failed_unexpected");
  tile("faults", count(shown.faults.count), zero(shown.faults.count));
  tile("unexpected", count(unexpected), zero(unexpected));
  tile("thread_errors", count(shown.threads.error), zero(shown.threads.error));
  tile("confirmed", count(sum("confirmed")));
  tile("checks", count(shown.checks));
  tile("in_flight", count(shown.in_flight));
  tile("transactions", rate(shown.rates.transactions));
  tile("cycles", rate(shown.rates.cycles));
  tile("lateness", milliseconds(shown.lateness_ms.p99));
  tile("confirm", milliseconds(shown.confirm_ms.p50));
  tile("revived", count(shown.revived));
  tile("core", sol(shown.core.lamports, shown.core.lamports?.length > 13 ? 0 : 2)); // in whole SOL from 10,000 on
}

export function showStates(threads) {
  const total = STATES.reduce((sum, name) => sum + threads[name], 0);
  let x = 0;
  STATES.forEach((name, n) => {
    const width = total ? (100 * threads[name]) / total : 0;
    const bar = $("states").children[n];
    bar.setAttribute("x", x);
    bar.setAttribute("width", width);
    x += width;
    put($("states-legend").children[n].querySelector("b"), count(threads[name]));
  });
}

// The bars and the legend's buttons, once; `choose` filters the table of threads.
export function makeStates(choose) {
  for (const name of STATES) {
    const bar = document.createElementNS(SVG, "rect");
    bar.setAttribute("height", 10);
    bar.style.fill = `var(${STATE_COLOURS[name]})`;
    $("states").append(bar);
    const key = element("i");
    key.style.background = `var(${STATE_COLOURS[name]})`;
    const button = element("button", { type: "button", title: `Show the threads that are ${name}` }, key, name, element("b", {}, NONE));
    if (name === "error") button.lastChild.previousSibling.textContent = "in error";
    button.addEventListener("click", () => choose(name));
    $("states-legend").append(element("li", {}, button));
  }
}

export const stateColour = (name) => STATE_COLOURS[name];

export function showTables(shown) {
  const rows = Object.entries(shown.operations).map(([kind, numbers]) => [kind, ...OUTCOMES.map((name) => count(numbers[name]))]);
  fillRows($("operations"), rows, [1, 2, 3, 4, 5, 6]);
  for (const name of ["errors", "waits"]) {
    fillRows($(name), shown[name].map(([text, times]) => [text, count(times)]), [1]);
    $(`${name}-empty`).hidden = shown[name].length > 0;
    $(name).parentNode.hidden = !shown[name].length;
  }
  fillRows($("delivery"), delivery(shown), []);
  fillRows($("resources"), resources(shown), []);
}

function delivery(shown) {
  return [
    ["Chains alive", count(shown.chains.live)],
    ["Earliest chain due for", milliseconds(shown.chains.overdue_ms)],
    ["Chains revived", count(shown.revived)],
    ["Deliveries dropped", count(shown.dropped)],
    ["Commits refused", count(shown.refused)],
    ...Object.entries(shown.queues).map(([name, depth]) => [`Messages in the queue ${name}`, count(depth)]),
    ["Commands open", count(shown.commands.open)],
    ["Epoch", count(shown.epoch)],
  ];
}

function resources(shown) {
  return [
    ["Core wallet", `${amount(shown.core.lamports, 9)} SOL`],
    ["Read", shown.core.asked_ms ? `${span(shown.at_ms - shown.core.asked_ms)} ago` : NONE],
    ["Reserved of it", `${amount(shown.core.reserved, 9)} SOL`],
    ["Entries owed in outboxes", count(shown.outbox)],
    ["Journal entries not yet spilled", count(shown.journal)],
    ["Refusals that probes provoked", count(shown.refusals)],
    ["Actions from outside", count(shown.outside)],
    ...shown.endpoints.map((one) => [one.endpoint, one.ok ? milliseconds(one.latency_ms) : "no answer"]),
  ];
}

export class Pools {
  // onCommand: (method, pool id, the pressed button)
  constructor(onChange, onCommand) {
    this.constants = new Map();
    this.onCommand = onCommand;
    this.select = $("pool");
    this.select.addEventListener("change", () => onChange(this.select.value));
  }

  get chosen() {
    return this.select.value;
  }

  decimals(id) {
    return this.constants.get(id)?.decimals ?? [0, 0];
  }

  label(id) {
    return shortId(id);
  }

  // The pools there are; true when another one is shown from now on.
  known(list) {
    this.constants = new Map(list.map((pool) => [pool.id, pool]));
    const before = this.select.value;
    const named = list.map((pool) => element("option", { value: pool.id }, `${shortId(pool.id)} · ${pool.ratio}${pool.probe_only ? " · probes only" : ""}`));
    this.select.replaceChildren(...named);
    this.select.disabled = !list.length;
    const kept = list.find((pool) => pool.id === before) ?? list.find((pool) => !pool.probe_only) ?? list[0];
    if (kept) this.select.value = kept.id;
    return this.select.value !== before;
  }

  show(pools, can) {
    const body = $("pools");
    $("pools-empty").hidden = pools.length > 0;
    while (body.rows.length > pools.length) body.deleteRow(-1);
    pools.forEach((pool, n) => {
      const row = body.rows[n] ?? this.row(body);
      const constants = this.constants.get(pool.id);
      const [a, b] = this.decimals(pool.id);
      const texts = [
        shortId(pool.id),
        constants?.ratio ?? NONE,
        amountTo(pool.liquidity_a, a, 6),
        amountTo(pool.liquidity_b, b, 6),
        amount(pool.surplus, 0),
        count(pool.slot),
        count(pool.running),
        count(pool.outbox),
      ];
      texts.forEach((text, column) => put(row.cells[column], text));
      row.cells[0].title = pool.id;
      row.cells[4].classList.toggle("bad", (pool.surplus ?? "").startsWith("-"));
      row.dataset.id = pool.id;
      for (const button of row.lastChild.children) {
        const { method } = button.dataset;
        button.hidden = !can(method) || (constants?.probe_only ?? false);
        button.disabled = (method === STOP_ALL && !pool.running) || button.dataset.busy === pool.id;
        const label = `${button.textContent} threads of pool ${pool.id}`;
        if (button.getAttribute("aria-label") !== label) button.setAttribute("aria-label", label);
      }
    });
  }

  row(body) {
    const row = body.insertRow();
    for (let column = 0; column < 8; column++) row.insertCell().className = column > 1 ? "n" : "";
    const cell = row.insertCell();
    cell.className = "buttons";
    for (const [method, verb] of [[START_ALL, "Start all"], [STOP_ALL, "Stop all"]]) {
      const button = element("button", { type: "button" }, verb);
      button.dataset.method = method;
      button.addEventListener("click", () => this.onCommand(method, row.dataset.id, button));
      cell.append(button);
    }
    return row;
  }
}
