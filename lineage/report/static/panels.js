// The panels beside film and tree: the selected cell, divisions, warning signs, summary, run. Texts from data are set as text, never as HTML.

function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "class") node.className = value;
    else node.setAttribute(key, value === true ? "" : value);
  }
  for (const child of children.flat()) if (child !== null && child !== undefined && child !== "") node.append(child);
  return node;
}

const fillWith = (host, ...nodes) => host.replaceChildren(...nodes.filter(Boolean));
const button = (text, onclick, attributes = {}) => element("button", { type: "button", onclick, ...attributes }, text);
const fact = (name, ...value) => element("div", {}, element("dt", {}, name), element("dd", {}, ...value));

function swatch(app, row) {
  const node = element("i", { class: "swatch", "aria-hidden": "true" });
  node.style.background = app.way.palette[app.theme][app.way.bucket(row)];
  return node;
}

// Thumbnails

async function thumbnail(app, canvas, { frame, rows, centre, reach }) {
  const { model, pictures } = app;
  const side = canvas.clientWidth || 64, ratio = Math.min(window.devicePixelRatio || 1, 2);
  canvas.width = canvas.height = Math.round(side * ratio);
  const g = canvas.getContext("2d");
  const k = side / (2 * reach);
  const X = (x) => (x - centre[0]) * k + side / 2, Y = (y) => (y - centre[1]) * k + side / 2;
  const bitmap = pictures && frame >= 0 && frame < model.T ? await pictures.load(frame, 0) : null;
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.fillStyle = bitmap ? "#0a0b0d" : app.ink.sunk;
  g.fillRect(0, 0, side, side);
  if (frame < 0 || frame >= model.T) return;
  const f = model.field;
  if (bitmap) {
    g.filter = $("image").style.filter || "none";
    g.drawImage(bitmap, X(f.x0), Y(f.y0), (f.x1 - f.x0) * k, (f.y1 - f.y0) * k);
    g.filter = "none";
  }
  const ground = bitmap ? "dark" : app.theme, palette = app.way.palette[ground];
  const chosen = new Set(rows);
  for (let i = model.at[frame]; i < model.at[frame + 1]; i++) {
    if (Math.abs(model.x[i] - centre[0]) > 1.4 * reach || Math.abs(model.y[i] - centre[1]) > 1.4 * reach) continue;
    const mine = chosen.has(i);
    if (!mine && bitmap) continue;
    g.beginPath();
    const o = model.outline;
    if (o && o.of.start[i] < o.of.start[i + 1]) {
      for (let a = o.of.start[i]; a < o.of.start[i + 1]; a++) {
        const c = o.of.list[a];
        for (let j = o.start[c]; j < o.start[c + 1]; j++) if (j === o.start[c]) g.moveTo(X(o.x[j]), Y(o.y[j])); else g.lineTo(X(o.x[j]), Y(o.y[j]));
        g.closePath();
      }
    } else g.arc(X(model.x[i]), Y(model.y[i]), Math.max(Math.min(0.5 * model.radius * k, 0.12 * side), 2.5), 0, 7);
    g.strokeStyle = palette[app.way.bucket(i)];
    g.globalAlpha = mine ? 1 : 0.35;
    g.lineWidth = mine ? 1.75 : 1;
    if (mine && !o) { g.fillStyle = g.strokeStyle; g.fill(); }
    g.stroke();
    g.globalAlpha = 1;
  }
}

// What surrounds a division: the mother, her daughters, and where they are at some time
function division(model, c) {
  const { tracks } = model;
  const mother = tracks.last[c], daughters = model.childrenOf(c);
  const firsts = daughters.map((d) => tracks.first[d]);
  const all = [mother, ...firsts];
  const xs = all.map((i) => model.x[i]), ys = all.map((i) => model.y[i]);
  const centre = [(Math.min(...xs) + Math.max(...xs)) / 2, (Math.min(...ys) + Math.max(...ys)) / 2];
  const reach = Math.max(3.2 * model.radius, 0.5 * Math.max(Math.max(...xs) - Math.min(...xs), Math.max(...ys) - Math.min(...ys)) + 2 * model.radius);
  const rowsAt = (t) => (t <= tracks.end[c] ? [model.cellAt(c, t)] : daughters.map((d) => model.cellAt(d, t))).filter((i) => i >= 0);
  return { track: c, mother, daughters, firsts, centre, reach, frame: tracks.end[c], rowsAt };
}

// Tab: the selected cell

function makeCellPanel(app) {
  const { model } = app;
  const { tracks } = model;
  const host = $("panel-cell");
  const spatial = ["x", "y", "z"].filter((axis) => model[axis]);

  const link = (row, text) => button([swatch(app, row), text], () => app.select(row, { jump: true }), { class: "chip", title: "Tracklet and frame" });

  function empty() {
    host.replaceChildren(
      element("div", { class: "hint" },
        element("p", {}, "Click a cell in the film, or a branch in the tree."),
        element("p", { class: "note" }, "Its branch lights up in both, and what is known about it stands here. Press ", element("kbd", {}, "?"), " for all keys.")),
    );
  }

  function draw() {
    const { row } = app.state;
    if (row < 0) { empty(); return; }
    const c = model.track[row], l = model.lineage[row];
    const parent = model.parent[row];
    const children = Array.from(model.children.list.subarray(model.children.start[row], model.children.start[row + 1]));
    const cost = model.cost ? model.cost[row] : NaN;
    const time = app.clock(model.frame[row]);
    const name = model.measured.find((column) => column.categories && column.categories.length > Math.min(20, model.n / 4) && column.categories[column.values[row]]);
    const open = host.querySelector("details.more")?.open ?? true;
    const sign = model.signs.filter((s) => s.row >= 0 && model.track[s.row] === c);
    fillWith(host,
      element("h3", {}, swatch(app, row), name ? name.categories[name.values[row]] : `Tracklet ${model.trackId[c]}`, element("small", {}, `lineage ${model.lineageId[l]}`)),
      element("div", { class: "row" },
        button("Birth", () => app.select(tracks.first[c], { jump: true }), { title: `Frame ${tracks.start[c]}` }),
        button("End", () => app.select(tracks.last[c], { jump: true }), { title: `Frame ${tracks.end[c]}` }),
        model.nChildren(c) ? button("Fold", () => app.tree.fold(c), { title: "Fold or unfold what comes after (c)" }) : null,
        button("Clear", () => app.select(-1), { title: "Select nothing (esc)" })),
      element("dl", { class: "facts" },
        fact("Frame", `${model.frame[row]}${time ? ` · ${time}` : ""}`),
        fact("Position", spatial.map((axis) => `${axis} ${tidy(model[axis][row])}`).join(", "), model.unit ? ` ${model.unit}` : ""),
        model.label[row] ? fact("Mask label", String(model.label[row])) : null,
        fact("Tracklet", `${model.trackId[c]}: frames ${tracks.start[c]} to ${tracks.end[c]}; ${model.fate(c)}`),
        fact("Lineage", `${model.lineageId[l]}: ${plural(model.lineages.cells[l], "detection")}, ${plural(model.lineages.divisions[l], "division")}`),
        fact("Generation", String(model.generation[row])),
        fact("Parent", parent < 0 ? (model.frame[row] ? "none: it appears here" : "none: the film begins") : link(parent, `${model.trackId[model.track[parent]]} · frame ${model.frame[parent]}`)),
        fact(children.length > 1 ? "Daughters" : "Child", children.length ? children.map((i) => link(i, `${model.trackId[model.track[i]]} · frame ${model.frame[i]}`)) : "none"),
        Number.isFinite(cost) ? fact("Link cost", model.daughter(row) ? `${tidy(cost)} nats; judged with the division` : `${tidy(cost)} nats (${likely(cost)} likely)`) : null,
        model.slack ? fact("Margin", Number.isFinite(model.slack[row]) ? `${tidy(model.slack[row])} nats to the next best answer` : "there was no choice") : null),
      sign.length ? element("div", { class: "signs-here" }, element("h4", {}, "Warning signs"), sign.map((s) => button([element("b", {}, `frame ${s.frame}`), ` ${s.message}`], () => app.goToSign(s), { class: "line" }))) : null,
      model.measured.length ? element("details", { class: "more", open }, element("summary", {}, "Measured"),
        element("dl", { class: "facts" }, model.measured.map((column) => fact(column.name.replaceAll("_", " "), column.categories ? column.categories[column.values[row]] || "–" : tidy(column.values[row]))))) : null,
    );
  }
  return { draw };
}

// Tab: divisions, one after the other

function makeDivisionPanel(app) {
  const { model } = app;
  const { tracks } = model;
  const host = $("panel-divisions");
  const all = model.divisions;
  let at = -1;
  let list = null, drawn = null;

  function show(k, { jump = true } = {}) {
    if (!all.length) return;
    at = Math.min(Math.max(k, 0), all.length - 1);
    const d = division(model, all[at]);
    if (jump) app.select(d.mother, { jump: true });
    drawStep(d);
  }

  function step(direction) {
    if (!all.length) return;
    // from where one is looking, not from where the stepper stood
    const { frame, row } = app.state;
    const here = at >= 0 && row >= 0 && model.track[row] === all[at];
    let next;
    if (here) next = at + direction;
    else if (direction > 0) { next = all.findIndex((c) => tracks.end[c] >= frame); if (next < 0) next = 0; }
    else { next = all.length - 1; while (next > 0 && tracks.end[all[next]] > frame) next--; }
    show((next + all.length) % all.length);
    app.openTab("divisions");
  }

  function drawStep(d) {
    const box = host.querySelector(".stepper");
    if (!box) return;
    const { firsts, mother } = d;
    const area = model.measured.find((column) => column.name === "area");
    const apart = firsts.length > 1 ? Math.hypot(model.x[firsts[0]] - model.x[firsts[1]], model.y[firsts[0]] - model.y[firsts[1]], model.z ? model.z[firsts[0]] - model.z[firsts[1]] : 0) : NaN;
    const times = [d.frame - 1, d.frame, tracks.start[d.daughters[0]], tracks.start[d.daughters[0]] + 1];
    const canvases = times.map((t) => element("canvas", { class: "thumb", role: "img", "aria-label": `Frame ${t}` }));
    box.replaceChildren(
      element("div", { class: "row stepping" },
        button("‹", () => show((at - 1 + all.length) % all.length), { class: "round", "aria-label": "Division before", id: "division-before" }),
        element("p", { id: "division-count", role: "status" }, element("b", {}, String(at + 1)), ` of ${all.length}`),
        button("›", () => show((at + 1) % all.length), { class: "round", "aria-label": "Next division", id: "division-next" })),
      element("div", { class: "quad" }, canvases.map((canvas, k) => element("button", { type: "button", class: "frame", disabled: times[k] < 0 || times[k] >= model.T, title: `Go to frame ${times[k]}`, onclick: () => app.select(d.rowsAt(times[k])[0] ?? mother, { jump: true, frame: times[k] }) },
        canvas, element("span", {}, k === 1 ? "mother " : k === 2 ? "daughters " : "", times[k] >= 0 && times[k] < model.T ? String(times[k]) : "–")))),
      element("p", { class: "note" }, `Lineage ${model.lineageId[model.lineage[mother]]}: tracklet ${model.trackId[d.track]} divides into ${d.daughters.map((k) => model.trackId[k]).join(" and ")} after frame ${d.frame}.`,
        Number.isFinite(apart) ? ` Daughters are ${tidy(Number(apart.toPrecision(3)))} apart` : "", area && firsts.length > 1 ? `, their ${model.dims === 3 ? "volumes" : "areas"} ${tidy(area.values[firsts[0]])} and ${tidy(area.values[firsts[1]])}; the mother's was ${tidy(area.values[mother])}.` : Number.isFinite(apart) ? "." : ""),
    );
    canvases.forEach((canvas, k) => thumbnail(app, canvas, { frame: times[k], rows: d.rowsAt(times[k]), centre: d.centre, reach: d.reach }));
    for (const node of host.querySelectorAll("[data-division][aria-current]")) node.removeAttribute("aria-current");
    const node = host.querySelector(`[data-division="${at}"]`);
    if (node) { node.setAttribute("aria-current", "true"); if (!host.hidden) node.scrollIntoView({ block: "nearest" }); }
  }

  const watcher = "IntersectionObserver" in window ? new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) { watcher.unobserve(entry.target); drawPair(entry.target); }
  }, { root: null, rootMargin: "200px" }) : null;

  function drawPair(node) {
    const d = division(model, all[Number(node.dataset.division)]);
    const [before, after] = node.querySelectorAll("canvas");
    thumbnail(app, before, { frame: d.frame, rows: d.rowsAt(d.frame), centre: d.centre, reach: d.reach });
    thumbnail(app, after, { frame: tracks.start[d.daughters[0]], rows: d.firsts, centre: d.centre, reach: d.reach });
  }

  function item(k) {
    const c = all[k];
    const node = element("button", { type: "button", class: "line division", "data-division": k, onclick: () => show(k) },
      element("canvas", { class: "thumb", "aria-hidden": "true" }), element("span", { class: "arrow", "aria-hidden": "true" }, "→"), element("canvas", { class: "thumb", "aria-hidden": "true" }),
      element("span", { class: "what" }, element("b", {}, `Frame ${tracks.end[c]}`), element("span", {}, `L${model.lineageId[tracks.lineage[c]]} · ${model.trackId[c]} → ${model.childrenOf(c).map((d) => model.trackId[d]).join(", ")}`)));
    if (watcher) watcher.observe(node);
    return node;
  }

  function more(from) {
    const upto = Math.min(from + 200, all.length);
    for (let k = from; k < upto; k++) list.append(element("li", {}, item(k)));
    if (upto < all.length) {
      const rest = element("li", {}, button(`Show more (${all.length - upto})`, () => { rest.remove(); more(upto); }));
      list.append(rest);
    }
  }

  function draw() {
    const key = `${app.theme} ${app.way.name}`;
    if (drawn === key) { if (at >= 0 && !host.querySelector(".stepper").children.length) show(at, { jump: false }); return; }
    drawn = key;
    if (!all.length) { host.replaceChildren(element("div", { class: "hint" }, element("p", {}, "No cell divides in this film."))); return; }
    list = element("ol", { class: "plain" });
    host.replaceChildren(element("div", { class: "stepper" }), element("h4", {}, plural(all.length, "division")), list);
    more(0);
    show(at >= 0 ? at : nearest(), { jump: false });
  }

  // the division of the selected branch, or the next one in time
  function nearest() {
    const { frame, row } = app.state;
    const mine = row < 0 ? -1 : all.indexOf(model.track[row]);
    return mine >= 0 ? mine : Math.max(all.findIndex((c) => tracks.end[c] >= frame), 0);
  }
  return { draw, step, show, get at() { return at; } };
}

// Tab: warning signs

function makeSignPanel(app) {
  const { model } = app;
  const host = $("panel-signs");
  let kinds = null, current = -1, built = false;

  const shown = () => model.signs.filter((sign) => kinds === null || kinds === sign.kind);

  function draw() {
    if (built) return mark();
    built = true;
    if (!model.signs.length) {
      host.replaceChildren(element("div", { class: "hint" }, element("p", {}, "No warning signs were found."),
        element("p", { class: "note" }, "The check looks for what a careful person looks for: cells that appear or vanish inside the field, jumps, divisions in quick succession, daughters that do not match.")));
      return;
    }
    const counts = new Map();
    for (const sign of model.signs) counts.set(sign.kind, (counts.get(sign.kind) || 0) + 1);
    const chip = (text, kind) => button(text, () => { kinds = kind; fill(); }, { class: "chip", "data-kind": kind === null ? "" : kind, "aria-pressed": String(kind === kinds) });
    host.replaceChildren(
      element("p", { class: "note" }, "What a careful person would look at first. None of it need be wrong."),
      element("div", { class: "row wrap", role: "group", "aria-label": "Kinds of signs" }, chip(`All ${model.signs.length}`, null), [...counts].map(([kind, count]) => chip(`${kind} ${count}`, kind))),
      element("ol", { class: "plain", id: "signs" }));
    fill();
  }

  function fill() {
    for (const node of host.querySelectorAll("[data-kind]")) node.setAttribute("aria-pressed", String((kinds === null ? "" : kinds) === node.dataset.kind));
    const list = $("signs");
    const signs = shown();
    list.replaceChildren();
    const add = (from) => {
      const upto = Math.min(from + 200, signs.length);
      for (let k = from; k < upto; k++) {
        const sign = signs[k];
        list.append(element("li", {}, element("button", { type: "button", class: "line sign", "data-sign": sign.rank, onclick: () => go(sign) },
          element("span", { class: "rank" }, String(sign.rank)), element("span", { class: "what" }, element("b", {}, sign.kind, element("small", {}, `frame ${sign.frame}`)), element("span", {}, sign.message)))));
      }
      if (upto < signs.length) { const rest = element("li", {}, button(`Show more (${signs.length - upto})`, () => { rest.remove(); add(upto); })); list.append(rest); }
    };
    add(0);
    mark();
  }

  function mark() {
    for (const node of host.querySelectorAll("[data-sign]")) if (Number(node.dataset.sign) === current) node.setAttribute("aria-current", "true"); else node.removeAttribute("aria-current");
  }

  function go(sign) {
    current = sign.rank;
    if (sign.row >= 0) app.select(sign.row, { jump: true }); else app.seek(sign.frame);
    mark();
    app.say(`Sign ${sign.rank}, ${sign.kind}, frame ${sign.frame}: ${sign.message}`);
  }

  function step(direction) {
    const signs = shown();
    if (!signs.length) return;
    const k = signs.findIndex((sign) => sign.rank === current);
    go(signs[k < 0 ? 0 : (k + direction + signs.length) % signs.length]);
    app.openTab("signs");
    host.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
  }
  return { draw, go, step };
}

// Tab: summary

function makeSummaryPanel(app) {
  const { model } = app;
  const host = $("panel-summary");
  let charts = [], built = "", wide = 0;

  const tile = (value, text, title) => element("div", { class: "tile", title }, element("b", {}, value), element("span", {}, text));

  function draw() {
    const width = host.clientWidth;
    if (built && wide === width) { if (built !== app.theme) { built = app.theme; for (const c of charts) c.build(); } return; }
    if (built) { wide = width; for (const c of charts) c.build(); return; }
    built = app.theme;
    wide = width;
    const whole = model.meta.whole;
    const s = whole || statistics(model);
    const divided = whole?.divided ?? model.divisions.length;
    const unit = model.unit || "units of length";
    const frames = Array.from({ length: model.T }, (_, t) => t);
    host.replaceChildren(element("div", { class: "tiles" },
      tile((whole?.detections ?? model.n).toLocaleString("en"), "detections"), tile((whole?.tracklets ?? model.tracks.count).toLocaleString("en"), "tracklets", "Paths without division or gap"),
      tile((whole?.lineages ?? model.lineages.count).toLocaleString("en"), "lineages"), tile(divided.toLocaleString("en"), "divisions"),
      tile(s.bridged.toLocaleString("en"), "gaps bridged", "Links over missed frames"), ...(model.meta.shared ? [tile(model.meta.shared.toLocaleString("en"), "shared masks", "Masks that hold two cells")] : []),
      tile(String(s.appeared), "appear inside", "After the first frame and away from the border"), tile(String(s.vanished), "vanish inside", "Before the last frame and away from the border")));
    if (whole) host.append(element("p", { class: "note whole" }, `This film has more cells than a page can hold. Film and tree show ${model.lineages.count.toLocaleString("en")} of its ${plural(whole.lineages, "lineage")}, with ${plural(model.n, "detection")}: those with the strongest warning signs, and those that divide most often. The numbers and charts here are of all lineages.`));
    const dropped = model.meta.detections - (whole?.detections ?? model.n);
    if (dropped) host.append(element("p", { class: "note whole" }, `${plural(dropped, "further detection")} ${dropped === 1 ? "was" : "were"} not believed and ${dropped === 1 ? "is" : "are"} not shown.`));
    const seek = (t) => app.seek(t);
    const first = s.cells[0] || 0, last = s.cells[model.T - 1] || 0;
    const add = (options) => charts.push(chart(app, host, options));
    const [lengths, steps, lives] = whole ? [s.lengths, s.steps, s.lives] : [histogram(s.lengths, { whole: true }), histogram(s.steps), histogram(s.lives, { whole: true })];
    const spread = (h, what) => `median ${tidy(Number(h.median.toPrecision(3)))}${what}, nine of ten between ${tidy(Number(h.low.toPrecision(3)))} and ${tidy(Number(h.high.toPrecision(3)))}`;
    charts = [];
    add({ title: "Cells in each frame", words: `${first} at first, ${last} at last`, x: frames, xLabel: "frame", series: [{ label: "cells", values: s.cells, area: true, whole: true }], onFrame: seek });
    add({ title: "Divisions in each frame", words: plural(divided, "division"), x: frames, xLabel: "frame", series: [{ label: "divisions", values: s.divisions, whole: true }], bars: true, height: 110, onFrame: seek });
    if (lengths) add({ title: "Length of tracklets", words: spread(lengths, " frames"), x: lengths.x, xLabel: "frames", step: lengths.step, series: [{ label: "tracklets", values: lengths.bins }], bars: true });
    if (steps) add({ title: "Displacement from frame to frame", words: spread(steps, ` ${unit}`), x: steps.x, xLabel: unit, step: steps.step, series: [{ label: "steps", values: steps.bins }], bars: true });
    if (lives) add({ title: "Time from division to division", words: spread(lives, " frames"), x: lives.x, xLabel: "frames", step: lives.step, series: [{ label: "cells", values: lives.bins }], bars: true });
    add({ title: "Appear and vanish inside the field", words: `${s.appeared} appear (line), ${s.vanished} vanish (dashed), more than ${tidy(Number(s.margin.toPrecision(2)))} ${unit} from the border`, x: frames, xLabel: "frame", series: [{ label: "appear", values: s.appear, whole: true }, { label: "vanish", values: s.vanish, whole: true, dash: [4, 3] }], height: 130, onFrame: seek });
    for (const c of charts) c.build();
    if (model.signs.length) host.append(element("p", { class: "note" }, `${plural(model.signs.length, "warning sign")}, ranked: `, button("see them", () => app.openTab("signs"), { class: "chip" })));
  }
  return { draw, tick: () => { if (!host.hidden) for (const c of charts) if (c.timed) c.redraw(); } };
}

// Tab: how the result was made

function makeRunPanel(app) {
  const { model } = app;
  const host = $("panel-run");
  let built = false;

  const NAMES = { made: "Made", command: "Command", seconds: "Seconds in all", scale: "Size of a pixel", interval: "Seconds between frames" };
  const section = (title, ...content) => element("section", {}, element("h4", {}, title), ...content);

  function value(v) {
    if (v === null || v === undefined) return "–";
    if (typeof v === "number") return tidy(v);
    if (typeof v === "boolean") return v ? "yes" : "no";
    if (Array.isArray(v)) return v.every((item) => typeof item !== "object" || item === null) ? v.slice(0, 60).map(value).join(", ") + (v.length > 60 ? ` … (${v.length})` : "") : element("div", { class: "nested" }, v.map((item) => table(item)));
    if (typeof v === "object") return table(v);
    return String(v);
  }
  const table = (object) => (typeof object === "object" && object !== null ? element("dl", { class: "facts" }, Object.entries(object).map(([name, v]) => fact(NAMES[name] || name.replaceAll("_", " "), value(v)))) : value(object));

  function certificate(c) {
    const proven = c.gap === 0 || (c.gap !== null && c.gap < 1e-9);
    const words = proven ? "The result is proven optimal for its costs: no other choice of links and divisions costs less."
      : c.gap === null || c.bound === null ? "How far the result is from the optimum is not known."
        : `No other choice of links and divisions can be cheaper by more than ${tidy(Number((100 * c.gap).toPrecision(2)))} % of the cost.`;
    return section("Certificate", element("p", { class: proven ? "seal" : "note" }, words), table({ status: c.status, solver: c.solver, "cost (nats)": c.objective, "lower bound (nats)": c.bound, gap: c.gap, "seconds of solving": c.seconds }));
  }

  function hashes(inputs) {
    return Object.entries(inputs).map(([name, file]) => element("div", { class: "input" }, element("b", {}, name), element("span", {}, String(file?.path ?? "")),
      element("small", {}, `${plural(file?.files ?? 1, "file")}, ${tidy(file?.bytes)} bytes`), file?.sha256 ? element("code", { title: "SHA-256" }, String(file.sha256)) : null));
  }

  function draw() {
    if (built) return;
    built = true;
    const { record, scores, leftOut } = model.meta;
    const rest = Object.fromEntries(Object.entries(record).filter(([name]) => !["certificate", "settings", "estimated", "inputs", "versions", "result", "machine"].includes(name)));
    fillWith(host, ...[
      record.certificate ? certificate(record.certificate) : null,
      scores ? section("Against the truth", table(Object.fromEntries(Object.entries(scores).filter(([, v]) => typeof v !== "object" || v === null)))) : null,
      Object.keys(rest).length ? section("Run", table(rest)) : null,
      record.inputs && Object.keys(record.inputs).length ? section("Inputs", ...hashes(record.inputs)) : null,
      record.settings ? section("Settings", table(record.settings)) : null,
      record.estimated && Object.keys(record.estimated).length ? section("Estimated from the film", table(record.estimated)) : null,
      section("Versions", table({ "report by cytolineage": model.meta.version, ...(record.versions || {}), ...(record.machine || {}) })),
      leftOut.length ? section("Not in this page", element("p", { class: "note" }, `For want of room, or because they are no plain columns: ${leftOut.join(", ")}.`)) : null,
      model.meta.pictures ? section("Film", table({ "grey level shown black": model.meta.pictures.low, "grey level shown white": model.meta.pictures.high, "pixels of the film": model.meta.shape, "pixels of a picture here": model.meta.pictures.size })) : null,
    ]);
  }
  return { draw };
}
