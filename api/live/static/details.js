// Everything that is known about one thread: its status as get_thread_status answers it, read again while it is open.

import { clock, count, element, NONE, put } from "./format.js";
import { call } from "./remote.js";

const $ = (id) => document.getElementById(id);
const EVERY_MS = 2000;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;
const SECTIONS = ["health_monitoring", "statistics", "deposit_specific", "withdrawal_specific", "swap_specific", "verification_totals", "wallet_data", "cost_tracking", "error_monitoring", "pool_integration", "session", "lifetime"];

const dialog = $("thread");
let shown = "";
let timer = 0;

dialog.addEventListener("close", () => {
  shown = "";
  clearTimeout(timer);
});

export function open(id) {
  shown = id;
  put($("h-thread"), id);
  $("thread-sections").replaceChildren(element("p", { class: "empty" }, "Reading its status"));
  $("thread-error").hidden = true;
  dialog.showModal();
  read(id);
}

async function read(id) {
  clearTimeout(timer);
  try {
    const status = await call("get_thread_status", { thread_id: id });
    if (shown !== id) return;
    show(status);
    $("thread-error").hidden = true;
  } catch (error) {
    if (shown !== id) return;
    $("thread-error").hidden = false;
    put($("thread-error"), `This is not up to date: ${error.message}`);
  }
  timer = setTimeout(() => read(id), EVERY_MS);
}

function show(status) {
  const title = `${status.thread_id} · ${status.status} · ${words(status.direction ?? `token ${status.token_type}`)}`;
  put($("h-thread"), title);
  const found = SECTIONS.filter((name) => status[name]).map((name) => [name, rows(status[name])]);
  const holder = $("thread-sections");
  const same = holder.children.length === found.length && found.every(([name], n) => holder.children[n].dataset.name === name);
  if (!same) holder.replaceChildren(...found.map(([name]) => section(name)));
  found.forEach(([, listed], n) => fill(holder.children[n].lastChild, listed));
}

function section(name) {
  const node = element("section", {}, element("h3", {}, words(name)), element("dl"));
  node.dataset.name = name;
  return node;
}

// Pairs of a name and a text; null as the value of a heading.
function rows(value, path = "") {
  return Object.entries(value).flatMap(([name, one]) => {
    const title = path ? `${path} · ${words(name)}` : words(name);
    if (Array.isArray(one)) return one.length ? one.map((item, n) => [`${title} ${n + 1}`, itemText(item)]) : [[title, "none"]];
    if (one !== null && typeof one === "object") return Object.keys(one).length ? [[words(name), null], ...rows(one)] : [];
    return [[title, text(one)]];
  });
}

function fill(list, listed) {
  while (list.children.length > listed.length * 2) list.lastChild.remove();
  listed.forEach(([name, value], n) => {
    const key = list.children[n * 2] ?? list.appendChild(element("dt"));
    const cell = list.children[n * 2 + 1] ?? list.appendChild(element("dd"));
    key.className = value === null ? "sub" : "";
    put(key, name);
    put(cell, value ?? "");
  });
}

const words = (name) => name.replaceAll("_", " ");
const itemText = (item) => (item !== null && typeof item === "object" ? Object.values(item).flatMap((one) => (one !== null && typeof one === "object" ? Object.entries(one).map(([name, value]) => `${words(name)} ${text(value)}`) : [text(one)])).join(" · ") : text(item));

function text(value) {
  if (value === null || value === "") return NONE;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "bigint") return count(value);
  if (typeof value === "number") return Number.isInteger(value) ? count(value) : String(value);
  return TIME.test(value) ? `${value.slice(0, 10)} ${clock(Date.parse(value))}` : value;
}
