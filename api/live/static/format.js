// Numbers, amounts and times as people read them.

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const TENTH = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 2 });

export const NONE = "–";

export const count = (value) => (value == null ? NONE : WHOLE.format(value));
export const rate = (value) => (value == null ? NONE : TENTH.format(value));
export const short = (value) => (value == null ? NONE : Math.abs(value) < 10000 ? String(+value.toPrecision(6)) : SHORT.format(value));
export const milliseconds = (value) => (value == null ? NONE : `${WHOLE.format(value)} ms`);

// Of an axis: 500 ms, 1.5 s.
export const duration = (value) => (Math.abs(value) < 1000 ? `${short(value)} ms` : `${short(value / 1000)} s`);

// Decimal text of base units as whole tokens, exact: 1234567 with 3 decimals is 1,234.567.
export function amount(text, decimals) {
  if (text == null) return NONE;
  const negative = text.startsWith("-");
  const digits = (negative ? text.slice(1) : text).padStart(decimals + 1, "0");
  const whole = BigInt(digits.slice(0, digits.length - decimals)).toLocaleString("en");
  const rest = decimals ? digits.slice(-decimals).replace(/0+$/, "") : "";
  return `${negative ? "-" : ""}${whole}${rest ? `.${rest}` : ""}`;
}

// The same to at most `places` decimals, for where space is short.
export function amountTo(text, decimals, places) {
  const full = amount(text, decimals);
  const point = full.indexOf(".");
  return point < 0 ? full : full.slice(0, places ? point + 1 + places : point).replace(/\.0*$|(\.\d*?)0+$/, "$1");
}

export const sol = (lamports, places) => (lamports == null ? NONE : `${amountTo(lamports, 9, places)} SOL`);
export const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB");
export const shortId = (id) => (id.length <= 12 ? id : `${id.slice(0, 5)}…${id.slice(-4)}`);

export function span(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

// Sets text only when it changed: untouched nodes are not painted again.
export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function element(name, properties = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "class") node.className = value;
    else if (key.includes("-") || key === "role" || key === "scope") node.setAttribute(key, value);
    else node[key] = value;
  }
  node.append(...children);
  return node;
}

// Rows of plain cells; keeps the nodes that are there already.
export function fillRows(body, rows, numeric) {
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((cells, n) => {
    const row = body.rows[n] ?? body.insertRow();
    cells.forEach((text, column) => {
      const cell = row.cells[column] ?? row.insertCell();
      if (numeric.includes(column)) cell.className = "n";
      put(cell, text);
    });
  });
}
