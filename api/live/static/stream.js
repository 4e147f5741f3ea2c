// Server-sent events over fetch, because EventSource cannot send the API key.

import { ask } from "./remote.js";

const SILENCE_MS = 6000; // a snapshot comes every second
const HIDDEN_MS = 60000; // a page that nobody sees gives its place back
const PAUSES_S = [1, 2, 3, 5, 8, 10];

// `on` gets (name, document) per event; `tell` gets the state "live", "lost" or "asleep", and its text.
export function listen(on, tell) {
  let abort = new AbortController();
  let failures = 0;
  let wake = () => {};

  async function once() {
    abort = new AbortController();
    let watchdog = setTimeout(() => abort.abort(), SILENCE_MS + 4000);
    try {
      const response = await ask("live/events", { signal: abort.signal });
      if (!response.ok) throw new Error(response.status === 503 ? (await response.json()).error : `the server answers ${response.status}`);
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) throw new Error("the server has ended the stream");
        clearTimeout(watchdog);
        watchdog = setTimeout(() => abort.abort(), SILENCE_MS);
        text += value;
        const blocks = text.split("\n\n");
        text = blocks.pop();
        for (const block of blocks) {
          const found = parse(block);
          if (!found) continue;
          failures = 0;
          tell("live", "live");
          on(found.name, found.document);
        }
      }
    } finally {
      clearTimeout(watchdog);
      abort.abort();
    }
  }

  async function forever() {
    for (;;) {
      let reason = "connection lost";
      let timer = 0;
      try {
        await once();
      } catch (error) {
        if (error.code === 401) reason = "no API key";
        else if (/watch at once/.test(error.message)) reason = error.message;
      }
      if (document.hidden && Date.now() - hiddenSince >= HIDDEN_MS) {
        tell("asleep", "asleep while hidden");
      } else {
        const pause = PAUSES_S[Math.min(failures++, PAUSES_S.length - 1)];
        tell("lost", `${reason}, retrying in ${pause} s`);
        timer = setTimeout(() => wake(), pause * 1000);
      }
      await new Promise((resolve) => { wake = resolve; });
      clearTimeout(timer);
      tell("lost", `${reason}, retrying`);
    }
  }

  let hiddenSince = document.hidden ? Date.now() : 0;
  let nap = 0;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(nap);
    if (document.hidden) {
      hiddenSince = Date.now();
      nap = setTimeout(() => abort.abort(), HIDDEN_MS);
    } else {
      wake();
    }
  });
  forever();
  return { retry: () => { failures = 0; abort.abort(); wake(); } };
}

function parse(block) {
  let name = "message";
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event: ")) name = line.slice(7);
    else if (line.startsWith("data: ")) data.push(line.slice(6));
  }
  return data.length ? { name, document: JSON.parse(data.join("\n")) } : null;
}
