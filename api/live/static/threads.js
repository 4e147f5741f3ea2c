// The table of threads: the server filters, sorts and cuts it, so that a thousand cost no more than fifty.

import { can, confirmed, send } from "./commands.js";
import { open } from "./details.js";
import { clock, count, element, NONE, put, shortId, sol } from "./format.js";
import { read } from "./remote.js";

const $ = (id) => document.getElementById(id);
const EVERY_MS = 2000;
const COLUMNS = [
  ["index", "Thread"], ["kind", "Kind"], ["pool", "Pool"], [null, "Side"], ["status", "State"],
  ["confirmed", "Confirmed", "n"], ["failed", "Failed", "n"], [null, "Waits for, last error"], ["sol", "Balance", "n"],
  ["last_ms", "Last operation", "n"], [null, "Actions"],
];
const ACTIONS = [
  ["start_thread", "Start", "Starting"],
  ["stop_thread", "Stop", "Stopping"],
  ["empty_thread", "Empty", "Emptying"],
];
const BURNS = "It uses up everything the thread holds and burns what it receives. Tokens do not come back.";

export class Threads {
  constructor() {
    this.sort = "index";
    this.descending = false;
    this.offset = 0;
    this.matching = 0;
    this.seen = true;
    this.asked = 0;
    this.busy = new Set();
    this.form = $("filters");
    this.heads();
    let typing = 0;
    this.form.addEventListener("input", () => {
      clearTimeout(typing);
      typing = setTimeout(() => this.from(0), 150);
    });
    this.form.addEventListener("submit", (event) => event.preventDefault());
    $("page-first").addEventListener("click", () => this.from(0));
    $("page-back").addEventListener("click", () => this.from(this.offset - this.limit));
    $("page-next").addEventListener("click", () => this.from(this.offset + this.limit));
    $("page-last").addEventListener("click", () => this.from(Math.floor((this.matching - 1) / this.limit) * this.limit));
    new IntersectionObserver((entries) => {
      this.seen = entries.at(-1).isIntersecting;
      if (this.seen) this.load();
    }, { rootMargin: "200px" }).observe($("threads"));
    setInterval(() => { if (this.seen && !document.hidden && this.live) this.load(); }, EVERY_MS);
  }

  get limit() {
    return Number(this.form.elements.limit.value);
  }

  heads() {
    for (const [key, title, kind] of COLUMNS) {
      const head = element("th", { scope: "col", class: kind ?? "" });
      if (key) {
        const button = element("button", { type: "button" }, title, element("span", { "aria-hidden": "true" }));
        button.addEventListener("click", () => {
          this.descending = this.sort === key ? !this.descending : kind === "n";
          this.sort = key;
          this.mark();
          this.from(0);
        });
        head.append(button);
        head.dataset.key = key;
      } else {
        head.append(title);
      }
      $("threads-head").append(head);
    }
    this.mark();
  }

  mark() {
    for (const head of $("threads-head").cells) {
      const active = head.dataset.key === this.sort;
      if (head.dataset.key) put(head.querySelector("span"), active ? (this.descending ? " ▼" : " ▲") : "");
      if (active) head.setAttribute("aria-sort", this.descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
  }

  pools(list) {
    const select = this.form.elements.pool;
    const before = select.value;
    const named = list.map((pool) => element("option", { value: pool.id }, shortId(pool.id)));
    select.replaceChildren(element("option", { value: "" }, "all"), ...named);
    select.value = list.some((pool) => pool.id === before) ? before : "";
  }

  // Where a name is typed.
  find() {
    const input = this.form.elements.q;
    input.focus();
    input.select();
  }

  choose(status) {
    this.form.elements.status.value = status;
    this.from(0);
    $("threads").scrollIntoView();
    $("threads").focus({ preventScroll: true });
  }

  from(offset) {
    this.offset = Math.max(0, offset);
    this.load();
  }

  // Reads the page again; answers that were overtaken by a newer question are dropped.
  async load(fresh = false) {
    const asked = ++this.asked;
    const query = new URLSearchParams({ sort: this.sort, descending: this.descending, offset: this.offset, limit: this.limit });
    for (const name of ["q", "status", "kind", "pool"]) {
      const value = this.form.elements[name].value.trim();
      if (value) query.set(name, value);
    }
    if (fresh) query.set("fresh", "1");
    try {
      const page = await read(`live/threads?${query}`);
      if (asked === this.asked) this.show(page);
    } catch { /* the stream says that the connection is lost */ }
  }

  show(page) {
    this.matching = page.matching;
    if (page.offset >= page.matching && page.offset > 0) {
      this.from(Math.max(0, Math.floor((page.matching - 1) / this.limit) * this.limit));
      return;
    }
    const body = $("threads-rows");
    while (body.rows.length > page.rows.length) body.deleteRow(-1);
    page.rows.forEach((thread, n) => this.fill(body.rows[n] ?? this.row(body), thread));
    $("threads-empty").hidden = page.rows.length > 0;
    put($("threads-empty"), page.total ? "No thread fits these filters" : "No thread yet");
    put($("threads-count"), page.total ? `${count(page.matching)} of ${count(page.total)}` : "");
    const last = page.offset + page.rows.length;
    put($("page-text"), page.matching ? `${count(page.offset + 1)} to ${count(last)} of ${count(page.matching)}` : NONE);
    for (const id of ["page-first", "page-back"]) $(id).disabled = page.offset === 0;
    for (const id of ["page-next", "page-last"]) $(id).disabled = last >= page.matching;
  }

  row(body) {
    const row = body.insertRow();
    for (const [, , kind] of COLUMNS.slice(0, -1)) row.insertCell().className = kind ?? "";
    const name = element("button", { type: "button", class: "link" });
    name.addEventListener("click", () => open(row.dataset.id));
    row.cells[0].append(name);
    row.cells[4].append(element("span", { class: "state" }));
    const cell = row.insertCell();
    cell.className = "buttons";
    for (const [method, verb, doing] of ACTIONS) {
      const button = element("button", { type: "button" }, verb);
      button.dataset.method = method;
      button.addEventListener("click", () => this.act(method, verb, doing, row.dataset.id));
      cell.append(button);
    }
    return row;
  }

  fill(row, thread) {
    row.dataset.id = thread.id;
    const why = thread.waiting || thread.last_error;
    const texts = [
      null, thread.kind, shortId(thread.pool), thread.side.replaceAll("_", " "), null, count(thread.confirmed),
      count(thread.failed), why ? why.replaceAll("_", " ") : NONE, sol(thread.sol, 4), thread.last_ms ? clock(thread.last_ms) : NONE,
    ];
    texts.forEach((text, column) => { if (text != null) put(row.cells[column], text); });
    const name = row.cells[0].firstChild;
    put(name, thread.id);
    name.title = `All about ${thread.id}, wallet ${thread.wallet}`;
    row.cells[2].title = thread.pool;
    row.cells[6].classList.toggle("bad", thread.unexpected > 0);
    const state = row.cells[4].firstChild;
    put(state, thread.order && thread.order !== "start" ? `${thread.status}, ${thread.order}` : thread.status);
    state.className = `state ${thread.status}`;
    const idle = thread.ready && !thread.order && !this.busy.has(thread.id);
    const allowed = { start_thread: thread.status !== "running", stop_thread: thread.status === "running", empty_thread: thread.status !== "error" };
    for (const button of row.lastChild.children) {
      button.hidden = !can(button.dataset.method);
      button.disabled = !idle || !allowed[button.dataset.method];
      const label = `${button.textContent} ${thread.id}`;
      if (button.getAttribute("aria-label") !== label) button.setAttribute("aria-label", label);
    }
  }

  async act(method, verb, doing, id) {
    if (method === "empty_thread" && !(await confirmed(`Empty ${id}?`, BURNS, verb))) return;
    this.busy.add(id);
    this.load();
    await send(method, { thread_id: id }, `${doing} ${id}`);
    this.busy.delete(id);
    this.load(true);
  }
}
