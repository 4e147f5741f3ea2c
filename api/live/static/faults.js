// The list of faults: the newest first, each with everything that is known about it.

import { count, element, NONE, put } from "./format.js";
import { read } from "./remote.js";

const $ = (id) => document.getElementById(id);
const FACTS = { pool_id: "Pool", chain_id: "Chain", operation_id: "Operation", signature: "Signature", slot: "Slot" };

export class Faults {
  constructor() {
    this.newest = 0; // how many there were when the list was read last
    this.oldest = 0;
    this.reading = false;
    this.epoch = null;
    $("faults-more").addEventListener("click", () => this.more());
  }

  async show(total) {
    put($("faults-count"), total ? count(total) : "");
    $("faults-empty").hidden = total > 0;
    if (total < this.newest) this.clear();
    if (total === this.newest || this.reading) return;
    this.reading = true;
    try {
      let before = total;
      const fresh = [];
      while (before > this.newest) {
        const found = (await read(`live/faults?before=${before}`)).faults.filter((fault) => fault.number >= this.newest);
        if (!found.length) break;
        fresh.push(...found);
        before = found.at(-1).number;
        if (!this.newest) break; // the first page; older ones when they are asked for
      }
      if (!this.newest) this.oldest = fresh.at(-1)?.number ?? 0;
      if (fresh.length) this.newest = fresh[0].number + 1;
      $("faults").prepend(...fresh.map(entry));
      $("faults-more").hidden = this.oldest === 0;
    } catch { /* the next snapshot tries again */ } finally {
      this.reading = false;
    }
  }

  async more() {
    if (this.reading) return;
    this.reading = true;
    try {
      const { faults } = await read(`live/faults?before=${this.oldest}`);
      this.oldest = faults.at(-1)?.number ?? 0;
      $("faults").append(...faults.map(entry));
      $("faults-more").hidden = this.oldest === 0;
    } catch { /* the button is still there */ } finally {
      this.reading = false;
    }
  }

  clear() {
    this.newest = this.oldest = 0;
    $("faults").replaceChildren();
    $("faults-more").hidden = true;
  }
}

function entry(fault) {
  const facts = Object.entries(FACTS).flatMap(([name, label]) => [
    element("dt", {}, label),
    element("dd", {}, fault[name] == null ? NONE : String(fault[name])),
  ]);
  const summary = element(
    "summary", {}, element("span", { class: "n" }, `#${fault.number + 1}`), " ", element("b", { class: "bad" }, fault.check), ` · slot ${fault.slot == null ? NONE : count(fault.slot)} · ${fault.message}`,
  );
  const details = element("details", {}, summary);
  // The evidence is long: it is written out when somebody looks.
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) {
      const evidence = JSON.stringify(fault.evidence, null, 1);
      details.append(element("p", {}, fault.message), element("dl", {}, ...facts), element("pre", { tabIndex: 0 }, evidence));
    }
  });
  return details;
}
