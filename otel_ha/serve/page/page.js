// Keeps the status page up to date: fetches it again and changes in place what differs, so that focus, selection,
// scroll positions and open details stay. The page is complete without it.
"use strict";

const PERIOD = 2000; // milliseconds between two requests
const PATIENCE = 10000; // milliseconds for one request
const NEWS = 30000; // milliseconds for which good news is shown

const banner = document.getElementById("banner");
const rows = () => document.querySelectorAll("tr.metric");
let timer = 0;
let running = null; // the AbortController of the request under way
let answered = new Date();
let fault = "";
let pointed = null; // the place of the pointer in the window

function show(kind, text) {
  if (banner.textContent === text) return;
  const line = document.createElement("p");
  line.className = kind;
  line.textContent = text;
  banner.replaceChildren(...(text ? [line] : []));
}

function failed(text) {
  fault = text;
  show("gone", `${text} The page shows its figures of ${answered.toLocaleTimeString()}.`);
}

// Not by the whole address: a browser refuses one without the name and password with which the page was opened.
function remember(parameters) {
  history.replaceState(null, "", `?${parameters}${location.hash}`);
}

function succeeded(restarted) {
  if (restarted) show("news", `The service restarted; it has answered again since ${new Date().toLocaleTimeString()}.`);
  else if (fault) show("news", `The service answers again since ${new Date().toLocaleTimeString()}.`);
  if (restarted || fault) setTimeout((shown) => banner.textContent === shown && show("", ""), NEWS, banner.textContent);
  fault = "";
  answered = new Date();
}

function refusal(response) {
  if (response.status === 401) return "The service asks for a password now (401); load the page again to give it.";
  if (response.status === 503) return "The service cannot answer now (503).";
  return `The service answers with status ${response.status} instead of this page.`;
}

async function refresh() {
  clearTimeout(timer);
  if (running || document.hidden) return;
  const request = (running = new AbortController());
  const late = setTimeout(() => request.abort(), PATIENCE);
  try {
    const options = { headers: { Accept: "text/html" }, cache: "no-store", signal: request.signal };
    const response = await fetch(location.href, options);
    if (response.ok) update(new DOMParser().parseFromString(await response.text(), "text/html"));
    else failed(refusal(response));
  } catch {
    if (running === request) failed("The service does not answer.");
  } finally {
    clearTimeout(late);
    if (running === request) {
      running = null;
      timer = setTimeout(refresh, PERIOD);
    }
  }
}

function refreshNow() {
  const stopped = running;
  running = null;
  stopped?.abort();
  refresh();
}

function update(fresh) {
  const [now, then] = [fresh.querySelector("main"), document.querySelector("main")];
  if (!fresh.getElementById("top") || !now) return failed("Something other than this page answers at its address.");
  const before = then.dataset.started;
  change(document.getElementById("top"), fresh.getElementById("top"));
  change(then, now);
  document.title = fresh.title;
  // Without a time of its start, telemetry does not run; the page says so.
  succeeded(now.dataset.started && before !== now.dataset.started);
  filter();
  point();
}

// Makes one element equal another, whose parts it takes over or copies. Parts with the same key stay the same part.
function change(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && !own(old, name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (!own(old, name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  const kept = new Map([...old.children].map((child) => [keyOf(child), child]));
  let place = old.firstChild;
  for (const part of [...fresh.childNodes]) {
    const key = keyOf(part);
    const same = key ? kept.get(key) : place && !keyOf(place) ? place : null;
    kept.delete(key);
    if (!same || same.nodeName !== part.nodeName) {
      old.insertBefore(part, place);
      continue;
    }
    if (same === place) place = place.nextSibling;
    else old.insertBefore(same, place);
    if (same.nodeType === Node.ELEMENT_NODE) change(same, part);
    else if (same.data !== part.data) same.data = part.data;
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

const keyOf = (node) => (node.id || node.dataset?.key || null);

// The visitor's own: what is open, and what is typed.
const own = (element, name) =>
  (element.localName === "details" && name === "open") || (element.id === "search" && name === "value");

function filter() {
  const search = document.getElementById("search");
  if (!search) return;
  const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let hits = 0;
  for (const row of rows()) {
    row.hidden = !wanted.every((word) => row.dataset.text.includes(word));
    hits += !row.hidden;
  }
  const text = `${hits} of ${rows().length} metrics`;
  const shown = document.getElementById("metrics-shown");
  if (shown.textContent !== text) shown.textContent = text;
}

// Shows the value under the pointer beside its chart.
function point() {
  const under = pointed && document.elementFromPoint(...pointed);
  const title = under?.closest("figure g")?.querySelector("title");
  const output = title?.closest("figure").querySelector("output");
  if (output && output.textContent !== title.textContent) output.textContent = title.textContent;
}

document.addEventListener("pointermove", (event) => {
  pointed = [event.clientX, event.clientY];
  point();
});

document.addEventListener("input", (event) => {
  if (event.target.id !== "search") return;
  const parameters = new URLSearchParams(location.search);
  if (event.target.value) parameters.set("search", event.target.value);
  else parameters.delete("search");
  remember(parameters);
  filter();
});

document.addEventListener("submit", (event) => {
  if (event.target.getAttribute("role") === "search") event.preventDefault();
});

document.addEventListener("click", (event) => {
  const link = event.target.closest?.(".ranges a");
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const parameters = new URLSearchParams(location.search);
  parameters.set("range", new URL(link.href).searchParams.get("range"));
  remember(parameters);
  refreshNow();
});

document.addEventListener("visibilitychange", () => {
  if (document.hidden) clearTimeout(timer);
  else refreshNow();
});

timer = setTimeout(refresh, PERIOD);
