// Commands that change something: asked for, sent, and what became of them.

import { count, element, put } from "./format.js";
import { command } from "./remote.js";

const $ = (id) => document.getElementById(id);
const SHOWN_MS = 8000;
const KEPT = 5;

let methods = new Set();

export const offer = (names) => { methods = new Set(names); };
export const can = (name) => methods.has(name);

function toast(text) {
  const close = element("button", { type: "button", "aria-label": "Dismiss" }, "×");
  const node = element("div", { class: "toast" }, element("span", {}, text), close);
  close.addEventListener("click", () => node.remove());
  $("toasts").append(node);
  while ($("toasts").children.length > KEPT) $("toasts").firstChild.remove();
  return node;
}

// Sends it, keeps `button` from being pressed twice, and says how it ended. True when it was carried out.
export async function send(method, params, doing, button) {
  const node = toast(`${doing} …`);
  const began = performance.now();
  if (button) button.disabled = true;
  try {
    const result = await command(method, params);
    const missed = result?.failed ? firstError(result) : "";
    if (missed) throw new Error(missed);
    const members = result?.total == null ? "" : ` for ${count(result.total)} threads`;
    put(node.firstChild, `${doing}: done${members} in ${((performance.now() - began) / 1000).toFixed(1)} s`);
    node.classList.add("good");
    setTimeout(() => node.remove(), SHOWN_MS);
    return true;
  } catch (error) {
    put(node.firstChild, `${doing}: ${error.message}`);
    node.classList.add("bad");
    return false;
  } finally {
    if (button) button.disabled = false;
  }
}

// Of a command for many threads that some of them refused.
function firstError({ total, failed, results }) {
  const first = results.find((one) => one.error)?.error.message;
  return `${count(failed)} of ${count(total)} threads refused. ${first}`;
}

// Resolves to true when the person agrees.
export function confirmed(title, text, verb) {
  const dialog = $("confirm");
  put($("h-confirm"), title);
  put($("confirm-text"), text);
  put($("confirm-ok"), verb);
  dialog.returnValue = "";
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "ok"), { once: true });
    dialog.showModal();
  });
}
