"use strict";
// The live page: asks the JSON beside it and draws what it gets. Nothing is loaded from elsewhere.

const SECOND = 1000;
const byId = (id) => document.getElementById(id);
const number = (n) => n.toLocaleString("en-US");

function make(name, attrs, ...children) {
  return fill(document.createElement(name), attrs, children);
}

function draw(name, attrs, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attrs, children);
}

function fill(node, attrs, children) {
  for (const [name, value] of Object.entries(attrs || {})) {
    if (value !== undefined && value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

function age(seconds) {
  if (seconds === null) return "";
  if (seconds < 1) return "<1s";
  const whole = Math.floor(seconds);
  for (const [unit, size, small, part] of [["d", 86400, "h", 3600], ["h", 3600, "m", 60], ["m", 60, "s", 1]]) {
    if (whole >= size) {
      const rest = Math.floor((whole % size) / part);
      return `${Math.floor(whole / size)}${unit}` + (rest ? ` ${rest}${small}` : "");
    }
  }
  return `${whole}s`;
}

async function ask(name, query) {
  const url = new URL(name, location.href);
  for (const [key, value] of Object.entries(query || {})) if (value !== "") url.searchParams.set(key, value);
  const response = await fetch(url, { cache: "no-store" });
  if (!response.ok) throw new Error((await response.text()).trim());
  return response.json();
}

// --- what is shown, and when it is asked for again -------------------------------------------

const shown = { tab: "goroutines", paused: false, failed: 0 };
let timer = 0;
let tick = 0;
const history = [];
const due = { groups: 0, graph: 0 };

async function refresh() {
  clearTimeout(timer);
  if (!shown.paused && !document.hidden) {
    try {
      await Promise.all([state(), groups(), graph()]);
      shown.failed = 0;
      said(`live · ${new Date().toLocaleTimeString()}`, false);
    } catch (error) {
      shown.failed += 1;
      said(shown.failed > 1 ? "the program does not answer: it has ended, or closed this page" : String(error.message), true);
    }
  }
  timer = setTimeout(refresh, shown.failed > 2 ? 5 * SECOND : SECOND);
}

function said(text, old) {
  byId("status").textContent = text;
  byId("status").classList.toggle("old", old);
}

byId("pause").addEventListener("click", (event) => {
  shown.paused = !shown.paused;
  event.target.setAttribute("aria-pressed", shown.paused);
  event.target.textContent = shown.paused ? "Go on" : "Pause";
  if (shown.paused) said("paused", false);
  else refresh();
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });

// --- tabs ----------------------------------------------------------------------------------

const tabs = [...byId("tabs").children];

function select(tab) {
  shown.tab = tab.getAttribute("aria-controls");
  for (const other of tabs) {
    const on = other === tab;
    other.setAttribute("aria-selected", on);
    other.tabIndex = on ? 0 : -1;
    byId(other.getAttribute("aria-controls")).hidden = !on;
  }
  window.history.replaceState(null, "", `#${shown.tab}`);
  due.groups = due.graph = 0;
  refresh();
}

for (const tab of tabs) {
  tab.addEventListener("click", () => select(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length];
    next.focus();
    select(next);
  });
  const panel = byId(tab.getAttribute("aria-controls"));
  panel.setAttribute("role", "tabpanel");
  panel.setAttribute("aria-labelledby", tab.id);
}

// --- counts, curves, the picture --------------------------------------------------------------

const COUNTS = [
  ["goroutines", "goroutines"], ["running", "running"], ["queued", "in run queues"],
  ["threads", "threads"], ["idle_ps", "idle Ps"], ["timers", "timers"],
];
const CURVES = COUNTS.filter(([name]) => name !== "timers" && name !== "running");

async function state() {
  const found = await ask("state.json", { since: tick });
  if (found.tick < tick) history.length = 0;
  tick = found.tick;
  history.push(...found.history);
  history.splice(0, history.length - 600);
  byId("tiles").replaceChildren(...COUNTS.map(([name, label]) => {
    const of = name === "idle_ps" ? ` of ${number(found.counts.ps)}` : "";
    return make("li", { "data-count": name }, make("b", {}, number(found.counts[name])), make("span", {}, label + of));
  }));
  if (shown.tab !== "scheduler") return;
  if (span()) byId("span").textContent = `The last ${age(span())}`;
  byId("curves").replaceChildren(...CURVES.map(([name, label]) => curve(name, label)));
  byId("picture").replaceChildren(picture(found));
}

const span = () => (history.length > 1 ? history[history.length - 1].at - history[0].at : 0);

function curve(name, label) {
  const values = history.map((point) => point[name]);
  const most = Math.max(1, ...values), width = 300, height = 70;
  const x = (i) => (values.length < 2 ? width : (i * width) / (values.length - 1));
  const y = (value) => height - (value / most) * (height - 6);
  const line = values.map((value, i) => `${x(i).toFixed(1)},${y(value).toFixed(1)}`);
  if (values.length === 1) line.unshift(`0,${y(values[0]).toFixed(1)}`);
  const last = values[values.length - 1] ?? 0;
  return make("figure", {},
    make("figcaption", {}, label, make("span", {}, make("b", {}, number(last)), ` · at most ${number(Math.max(0, ...values))}`)),
    draw("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": `${label} over the last ${age(span())}: now ${last}, at most ${most}` },
      draw("line", { class: "axis", x1: 0, y1: height, x2: width, y2: height }),
      draw("polygon", { class: "under", points: `0,${height} ${line.join(" ")} ${width},${height}` }),
      draw("polyline", { class: "curve", points: line.join(" ") })));
}

const CELL = { width: 176, chip: 50 };
const CHIPS = 12;

function box(x, y, width, height, kind, lines, label) {
  const rect = draw("rect", { class: `box ${kind}`, x, y, width, height, rx: 8 });
  const texts = lines.map(([text, soft], i) => draw("text", { x: x + width / 2, y: y + 20 + 17 * i, "text-anchor": "middle", class: soft ? "soft" : null }, text));
  return draw("g", { role: "img", "aria-label": label || lines.map(([text]) => text).join(", ") }, rect, texts);
}

function chips(x, y, ids, length) {
  const found = ids.slice(0, length > CHIPS ? CHIPS - 1 : CHIPS);
  const texts = found.map((id) => `g${id}`);
  if (length > found.length) texts.push(`+${number(length - found.length)}`);
  return texts.map((text, i) => {
    const cx = x + (i % 3) * (CELL.chip + 5), cy = y + Math.floor(i / 3) * 25;
    return draw("g", {}, draw("rect", { class: "chip", x: cx, y: cy, width: CELL.chip, height: 20, rx: 10 }),
      draw("text", { class: "mono", x: cx + CELL.chip / 2, y: cy + 14.5, "text-anchor": "middle" }, text));
  });
}

const mkind = (m) => (m.state === "in C" ? "c" : m.g === null ? "free" : m.state === "asleep" ? "" : "run");

function machine(x, y, m) {
  const does = m.state.replace(" without a P", "");
  const what = m.g === null ? does : `${does} g${m.g}`;
  const name = `M${m.id}` + (m.main ? " main thread" : m.foreign ? " from C" : "");
  return box(x, y, CELL.width - 18, 48, mkind(m), [[name], [what, true]], `${name}, ${what}`);
}

function picture(found) {
  const ps = found.ps, parts = [], wide = Math.max(700, byId("picture").clientWidth - 2);
  const columns = Math.max(1, Math.floor((wide - 20) / CELL.width));
  let y = 16;
  for (let row = 0; row < ps.length; row += columns) {
    let deep = 0;
    ps.slice(row, row + columns).forEach((p, i) => {
      const x = 16 + i * CELL.width, center = x + (CELL.width - 18) / 2;
      const m = found.ms.find((one) => one.p === p.id);
      if (m) parts.push(machine(x, y, m), draw("line", { class: "link", x1: center, y1: y + 48, x2: center, y2: y + 66 }));
      const length = p.queue.length + p.next.length;
      parts.push(box(x, y + 66, CELL.width - 18, 48, m ? "run" : "free", [[`P${p.id}`], [m ? `${number(length)} queued` : p.state, true]]));
      parts.push(...chips(x + 1, y + 124, [...p.next, ...p.queue.first], length));
      deep = Math.max(deep, Math.ceil(Math.min(CHIPS, length) / 3) * 25);
    });
    y += 132 + deep;
  }
  for (const [name, queue] of [["global queue", found.global], ["held back, for others compute", found.held_back]]) {
    if (name !== "global queue" && !queue.length) continue;
    parts.push(draw("text", { x: 16, y: y + 15 }, `${name}: ${number(queue.length)}`));
    parts.push(...chips(230, y, queue.first, queue.length));
    y += 12 + 25 * Math.max(1, Math.ceil(Math.min(CHIPS, queue.length) / 3));
  }
  const others = found.ms.filter((m) => m.p === null).slice(0, 200);
  if (others.length) parts.push(draw("text", { x: 16, y: y + 18 }, "threads without a P"));
  y += others.length ? 30 : 0;
  others.forEach((m, i) => parts.push(machine(16 + (i % columns) * CELL.width, y + Math.floor(i / columns) * 58, m)));
  y += Math.ceil(others.length / columns) * 58 + 10;
  return draw("svg", { width: wide, height: y, viewBox: `0 0 ${wide} ${y}`, role: "group", "aria-label": "Ms, Ps and run queues" }, parts);
}

// --- goroutines in groups ---------------------------------------------------------------------

const PAGE = 50;
const view = { q: "", state: "", sort: "count", limit: PAGE };
const cards = new Map();

const kind = (what) => ({ running: "run", runnable: "ready", syscall: "c" })[what] || "wait";

async function groups() {
  if (shown.tab !== "goroutines" || performance.now() < due.groups) return;
  due.groups = performance.now() + 2 * SECOND;
  const found = await ask("groups.json", { q: view.q, state: view.state, sort: view.sort, limit: view.limit });
  due.groups = performance.now() + Math.max(SECOND, 4 * found.took * SECOND);
  const filtered = view.q || view.state ? ` of ${number(found.total)}` : "";
  const took = found.took > 0.5 ? `, which took ${found.took.toFixed(1)} s to look at` : "";
  byId("summary").textContent = `${number(found.matching)}${filtered} ${found.who} in ${number(found.length)} groups${took}`;
  states(found.states);
  const keys = new Set(found.groups.map((group) => group.key));
  for (const [key, card] of cards) if (!keys.has(key)) { card.node.remove(); cards.delete(key); }
  let before = null;
  for (const group of found.groups) {
    let card = cards.get(group.key);
    if (!card) cards.set(group.key, (card = newCard(group)));
    card.update(group);
    const place = before ? before.nextSibling : byId("groups").firstChild;
    if (place !== card.node) byId("groups").insertBefore(card.node, place);
    before = card.node;
  }
  byId("more").hidden = found.length <= view.limit || view.limit >= 500;
}

function states(counts) {
  const names = Object.keys(counts).sort((a, b) => counts[b] - counts[a]);
  if (view.state && !names.includes(view.state)) names.push(view.state);
  const had = document.activeElement?.dataset?.state;
  byId("states").replaceChildren(...names.map((name) => {
    const button = make("button", { type: "button", "data-state": name, "aria-pressed": String(view.state === name) }, `${name} ${number(counts[name] || 0)}`);
    button.addEventListener("click", () => changed({ state: view.state === name ? "" : name }));
    return button;
  }));
  if (had) byId("states").querySelector(`[data-state="${CSS.escape(had)}"]`)?.focus();
}

function changed(what) {
  Object.assign(view, { limit: PAGE }, what);
  due.groups = 0;
  refresh();
}

function frameLine([func, file, line], prefix) {
  return make("li", {}, prefix || null, make("b", {}, func), " ", make("span", {}, file ? `${file}:${line}` : ""));
}

function newCard(group) {
  const count = make("span", { class: "count" }), wait = make("span", { class: "age" });
  const func = make("span", { class: "func mono" });
  const ids = make("div", { class: "ids" }), detail = make("div", {}), more = make("button", { type: "button" }, "Show all numbers");
  const parents = make("p", { class: "note" });
  const [name, file, line] = group.frames[0] || ["stack unavailable", "", 0];
  func.append(name, make("small", {}, file ? `${file.split("/").pop()}:${line}` : ""));
  const stack = make("ol", { class: "stack" }, group.frames.map((frame) => frameLine(frame)));
  if (group.creator) stack.append(frameLine(group.creator, "created by "));
  const node = make("details", { class: "group", "data-key": group.key },
    make("summary", {}, count, make("span", { class: `state ${kind(group.what)}` }, group.what), func, wait),
    make("div", { class: "body" }, stack, parents, ids, more, detail));
  let offset = 0;
  more.addEventListener("click", async () => {
    const found = await ask("goroutines.json", { group: group.key, offset, limit: 200 });
    if (offset === 0) ids.replaceChildren();
    ids.append(...found.goroutines.map((g) => idButton(g.id, g.age, detail)));
    offset += found.goroutines.length;
    more.hidden = offset >= found.length;
    more.textContent = `Show more (${number(offset)} of ${number(found.length)})`;
  });
  const update = (now) => {
    count.textContent = number(now.count);
    wait.textContent = now.age === null ? "" : age(now.age);
    wait.title = now.age === null ? "" : "the longest wait among them";
    parents.textContent = now.parents.length ? `started by goroutine ${now.parents.join(", ")}${now.parents.length > 11 ? ", …" : ""}` : "";
    if (offset) return;
    if (now.names.length) {
      ids.replaceChildren(...now.names.map((name) => make("span", { class: "task" }, name)));
      more.hidden = true;
      return;
    }
    const wanted = now.ids.join();
    if (ids.dataset.ids !== wanted) ids.replaceChildren(...now.ids.map((id) => idButton(id, null, detail)));
    ids.dataset.ids = wanted;
    more.hidden = now.count <= now.ids.length;
  };
  return { node, update };
}

function idButton(id, waited, detail) {
  const button = make("button", { type: "button", title: `the stack of goroutine ${id}` }, `${id}`, waited === null ? null : make("small", {}, ` ${age(waited)}`));
  button.addEventListener("click", async () => {
    try {
      const found = await ask("goroutine.json", { id });
      const on = found.waits_on.length ? [make("p", { class: "note" }, `waits on ${found.waits_on.join(", ")}`)] : [];
      if (found.scopes.length) on.push(make("p", { class: "note" }, `in ${found.scopes.join("; ")}`));
      detail.replaceChildren(...on, make("pre", {}, found.stack));
    } catch (error) {
      detail.replaceChildren(make("p", { class: "note" }, error.message));
    }
  });
  return button;
}

byId("find").addEventListener("submit", (event) => { event.preventDefault(); changed({ q: byId("find").q.value }); });
byId("find").q.addEventListener("input", () => { clearTimeout(view.typing); view.typing = setTimeout(() => changed({ q: byId("find").q.value }), 250); });
byId("find").sort.addEventListener("change", () => changed({ sort: byId("find").sort.value }));
byId("leaks").addEventListener("click", async (event) => {
  event.target.disabled = true;
  try {
    // Who asks for this profile has them searched for; from then on states say "(leaked)".
    const response = await fetch(byId("leakprofile").href, { cache: "no-store" });
    const text = await response.text();
    if (!response.ok) throw new Error(text.trim());
    const found = Number(text.match(/total (\d+)/)?.[1] || 0);
    event.target.textContent = found ? `${number(found)} leaked` : "No leaks found";
    if (found) { byId("find").q.value = "(leaked)"; changed({ q: "(leaked)", state: "" }); }
  } finally {
    event.target.disabled = false;
    setTimeout(() => { event.target.textContent = "Find leaks"; }, 5 * SECOND);
  }
});
byId("more").addEventListener("click", () => changed({ limit: Math.min(500, view.limit * 2) }));

// --- who waits for whom --------------------------------------------------------------------------

const EDGE = 20, LEFTBOX = 360, RIGHTBOX = 320, HEIGHT = 46, GAP = 16;
let picked = null;

async function graph() {
  if (shown.tab !== "graph" || performance.now() < due.graph) return;
  due.graph = performance.now() + 2 * SECOND;
  const found = await ask("graph.json");
  due.graph = performance.now() + Math.max(2 * SECOND, 4 * found.took * SECOND);
  legend(found);
  byId("drawing").replaceChildren(found.nodes.length ? drawn(found) : make("p", { class: "note" }, "\u00a0 No goroutine waits for another."));
}

function legend(found) {
  const key = (kindOf, text) => make("span", { class: "key" }, draw("svg", { viewBox: "0 0 34 10", "aria-hidden": "true" },
    draw("line", { class: `edge ${kindOf}`, x1: 0, y1: 5, x2: 26, y2: 5 }), draw("path", { class: `head ${kindOf}`, d: "M34 5 L25 1 L25 9 Z" })), text);
  const left = found.left_out ? ` ${number(found.left_out)} more are not drawn.` : "";
  byId("legend").replaceChildren(key("waits", "waits on"), key("holds", "is held by"), key("uses", "can be reached by"),
    key("bad", "nobody was found who is awake and could end the wait"), left);
}

// Both columns are put in an order in which the lines cross less: each node at the mean of those it is linked to.
function ordered(found) {
  const gs = found.nodes.map((_, i) => i), things = found.things.map((_, i) => i);
  for (let round = 0; round < 6; round++) {
    const [moved, fixed, own, other] = round % 2 ? [gs, things, "g", "t"] : [things, gs, "t", "g"];
    const place = new Map(fixed.map((id, i) => [id, i]));
    const mean = new Map(moved.map((id, i) => {
      const ends = found.edges.filter((edge) => edge[own] === id).map((edge) => place.get(edge[other]));
      return [id, ends.length ? ends.reduce((a, b) => a + b, 0) / ends.length : i];
    }));
    moved.sort((a, b) => mean.get(a) - mean.get(b));
  }
  return [gs, things];
}

function short(text, most) {
  return text.length > most ? `…${text.slice(text.length - most + 1)}` : text;
}

function drawn(found) {
  const [gs, things] = ordered(found);
  const rows = Math.max(gs.length, things.length), height = rows * (HEIGHT + GAP) + GAP;
  const at = (list) => new Map(list.map((id, i) => [id, GAP + (i + 0.5) * ((height - GAP) / list.length) - HEIGHT / 2]));
  const gy = at(gs), ty = at(things), width = Math.max(960, byId("drawing").clientWidth - 2), right = width - EDGE - RIGHTBOX;
  const svg = draw("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "Goroutines on the left, what they wait on on the right" });
  const ports = new Map();
  const port = (side, id, y) => {
    const list = found.edges.filter((edge) => edge[side] === id), key = side + id;
    const n = ports.get(key) || 0;
    ports.set(key, n + 1);
    return y + HEIGHT * ((n + 1) / (list.length + 1));
  };
  const lines = [...found.edges].sort((a, b) => gy.get(a.g) + ty.get(a.t) - gy.get(b.g) - ty.get(b.t)).map((edge) => {
    const x1 = EDGE + LEFTBOX, y1 = port("g", edge.g, gy.get(edge.g)), x2 = right, y2 = port("t", edge.t, ty.get(edge.t));
    const bad = !found.things[edge.t].awake && (edge.kind !== "uses") ? " bad" : "";
    const mid = (x1 + x2) / 2, forward = edge.kind === "waits";
    const tip = forward ? `M${x2} ${y2} l-10 -4.5 v9 Z` : `M${x1} ${y1} l10 -4.5 v9 Z`;
    const [from, to] = forward ? [x1, x2 - 8] : [x1 + 8, x2];
    const ends = { "data-g": edge.g, "data-t": edge.t };
    return [draw("path", { class: `edge ${edge.kind}${bad}`, d: `M${from} ${y1} C${mid} ${y1} ${mid} ${y2} ${to} ${y2}`, ...ends }),
      draw("path", { class: `head ${edge.kind}${bad}`, d: tip, ...ends })];
  });
  svg.append(...lines.flat());
  const words = { waits: "waits on", holds: "holds", uses: "can reach" };
  const links = (side, id, name) => found.edges.filter((edge) => edge[side] === id).map((edge) => (side === "g" ? `${words[edge.kind]} ${name(edge)}` : `${name(edge)} ${words[edge.kind]} it`)).join("; ");
  const one = (node) => (node.tasks.length ? `task "${node.tasks[0]}"` : `goroutine ${node.ids[0]}`);
  const gname = (i) => (found.nodes[i].count > 1 ? `${number(found.nodes[i].count)} × ${found.nodes[i].func}` : `${one(found.nodes[i])} ${found.nodes[i].func}`);
  for (const i of gs) {
    const node = found.nodes[i], who = node.count > 1 ? `${number(node.count)} ${node.tasks.length ? "tasks" : "goroutines"}` : one(node);
    svg.append(nodeBox(svg, `g${i}`, EDGE, gy.get(i), LEFTBOX, node.awake ? "" : "bad", short(node.func || "stack unavailable", 40), `${who} · ${node.what}`,
      `${gname(i)}, ${node.what}; ${links("g", i, (edge) => found.things[edge.t].label)}`, node.frames.map(([f, file, line]) => `${f}\n    ${file}:${line}`).join("\n")));
  }
  for (const i of things) {
    const thing = found.things[i], waits = found.edges.filter((edge) => edge.t === i && edge.kind === "waits").reduce((sum, edge) => sum + found.nodes[edge.g].count, 0);
    const [name, ...rest] = thing.label.split(" ");
    svg.append(nodeBox(svg, `t${i}`, right, ty.get(i), RIGHTBOX, `thing ${thing.awake ? "" : "bad"}`, short(rest.length > 1 ? `${name} ${rest.slice(0, -1).join(" ")}` : thing.label, 34),
      `${{ timer: "of a timer · ", network: "outside · ", task: "asyncio · ", goroutine: "its result · " }[thing.kind] || ""}${number(waits)} ${waits === 1 ? "waits" : "wait"} · ${rest[rest.length - 1] || ""}${thing.awake ? "" : " · nobody awake"}`, `${thing.label}; ${links("t", i, (edge) => gname(edge.g))}`, thing.label));
  }
  if (picked) pick(svg, picked);
  return svg;
}

function nodeBox(svg, id, x, y, width, kindOf, title, under, label, tip) {
  const node = draw("g", { class: "node", tabindex: 0, role: "button", "aria-label": label, "data-id": id },
    draw("title", {}, tip),
    draw("rect", { class: `box ${kindOf}`, x, y, width, height: HEIGHT, rx: 8 }),
    draw("text", { class: "mono", x: x + 12, y: y + 19 }, title),
    draw("text", { class: "soft", x: x + 12, y: y + 36 }, under));
  const act = () => { picked = picked === id ? null : id; pick(svg, picked); };
  node.addEventListener("click", act);
  node.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); act(); } });
  return node;
}

function pick(svg, id) {
  const side = id ? id[0] : "", value = id ? id.slice(1) : "";
  const on = new Set([id]);
  for (const edge of svg.querySelectorAll("[data-g]")) {
    const hit = id && edge.dataset[side] === value;
    edge.classList.toggle("on", Boolean(hit));
    if (hit) on.add(`g${edge.dataset.g}`).add(`t${edge.dataset.t}`);
  }
  for (const node of svg.querySelectorAll(".node")) node.classList.toggle("on", on.has(node.dataset.id));
  svg.classList.toggle("picked", Boolean(id) && on.size > 0);
}

// --- begin ---------------------------------------------------------------------------------------

for (const id of ["pause", "tiles", "tabs", "states", "groups", "leaks"]) byId(id).hidden = false;
byId("plain").hidden = true;
byId("pprof").textContent = `go tool pprof ${location.origin}/debug/pprof/profile?seconds=10`;
view.q = byId("find").q.value;
select(tabs.find((tab) => `#${tab.getAttribute("aria-controls")}` === location.hash) || tabs[0]);
