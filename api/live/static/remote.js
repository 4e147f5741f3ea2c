// Requests to this server: the API key, JSON-RPC calls, and commands that outlast their request.

const KEY = "frt-api-key";
const STILL_RUNNING = -1009;
const PATIENCE_MS = 180000;

export class Refused extends Error {
  constructor(text, code) {
    super(text);
    this.code = code;
  }
}

const dialog = document.getElementById("ask-key");
let asking = null;

export const storedKey = () => sessionStorage.getItem(KEY);

// Resolves once the person has answered: true when there is a key to try.
export function askKey(text) {
  if (text) document.getElementById("ask-key-text").textContent = text;
  asking ??= new Promise((resolve) => {
    const input = dialog.querySelector("input");
    input.value = "";
    dialog.addEventListener("close", () => {
      asking = null;
      if (dialog.returnValue === "ok" && input.value) sessionStorage.setItem(KEY, input.value.trim());
      if (dialog.returnValue === "forget") sessionStorage.removeItem(KEY);
      input.value = "";
      resolve(dialog.returnValue === "ok");
    }, { once: true });
    dialog.returnValue = "";
    dialog.showModal();
    input.focus();
  });
  return asking;
}

// fetch with the key; a 401 asks the person for one and tries again.
export async function ask(path, options = {}) {
  for (;;) {
    const tried = storedKey();
    const headers = { ...options.headers, ...(tried ? { "X-API-Key": tried } : {}) };
    const response = await fetch(path, { ...options, headers, cache: "no-store" });
    if (response.status !== 401) return response;
    if (storedKey() !== tried) continue; // another request has got a key meanwhile
    const text = tried ? "The server does not know this key." : "This server asks for a key. It is kept in this tab only, until the tab is closed.";
    if (!(await askKey(text))) throw new Refused("This needs an API key", 401);
  }
}

export async function read(path) {
  const response = await ask(path);
  const answer = await response.json().catch(() => null);
  if (!response.ok) throw new Refused(textOf(answer?.error) ?? `The server answers ${response.status}`, response.status);
  return answer;
}

export async function call(method, params) {
  const response = await ask("rpc", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
  });
  const answer = exactly(await response.text());
  if (answer?.error) throw new Refused(textOf(answer.error), answer.error.code);
  if (!response.ok || !answer) throw new Refused(`The server answers ${response.status}`, response.status);
  return answer.result;
}

// JSON whose amounts stay what they are, also above 2^53, in every browser that tells a number's own text.
function exactly(text) {
  try {
    return JSON.parse(text, (_, value, context) => {
      const large = typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value);
      return large && /^-?\d+$/.test(context?.source ?? "") ? BigInt(context.source) : value;
    });
  } catch {
    return null;
  }
}

const textOf = (error) => (typeof error === "string" ? error : error?.message);

// Sends a command once, whatever happens to the request, and waits until it has an answer.
export async function command(method, params) {
  const id = newId();
  const until = Date.now() + PATIENCE_MS;
  try {
    return await call(method, { ...params, command_id: id });
  } catch (error) {
    if (error.code !== STILL_RUNNING) throw error;
  }
  while (Date.now() < until) {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const found = await call("get_command", { command_id: id });
    if (found.status === "done") return found.result;
    if (found.status === "failed") throw new Refused(found.error.message, found.error.code);
  }
  throw new Refused("it is still running; get_command tells how it ends", STILL_RUNNING);
}

// crypto.randomUUID is missing on plain http from another machine.
function newId() {
  return `page-${Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
