// The page as a whole: state, keys, time, and what hangs on what.

async function start() {
  const model = await openModel();
  const state = {
    frame: 0, playing: false, speed: 10, row: -1, hover: -1, hoverAt: null, tab: "cell", colour: "lineage", tail: 8, outlines: true, fill: false, numbers: false, marks: true,
    bright: 100, invert: false, follow: false, layer: 0, layers: 0, sort: "cells", shortest: 1, dividing: false, suspected: false,
  };
  const app = { model, state, visible: new Uint8Array(model.lineages.count).fill(1), legendBox: [0, Infinity], counters: { film: 0, tree: 0, filmTime: 0, treeTime: 0 } };
  const ways = colourings(model);
  app.way = ways[0];
  app.pictures = openPictures(model, (key) => { if (app.film && (key === app.pictures.key(state.frame, state.layer))) app.redraw("film"); });

  // Light and dark

  const system = window.matchMedia("(prefers-color-scheme: dark)");
  function paint() {
    const wanted = document.documentElement.dataset.theme || (system.matches ? "dark" : "light");
    app.theme = wanted;
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    app.ink = { strong: colour("ink"), weak: colour("ink-weak"), line: colour("line"), paper: colour("paper"), sunk: colour("sunk"), accent: colour("accent"), onAccent: colour("on-accent"), second: colour("second"), wash: colour("wash") };
    $("stage-box").classList.toggle("empty", !app.pictures);
    $("image").hidden = !app.pictures;
  }
  app.ground = (where) => (where === "film" && app.pictures ? "dark" : app.theme);
  function repaint() { paint(); app.redraw("film", "tree", "strip", "legend", "panel"); }
  paint();

  // One redraw a screen refresh, of what has changed

  const dirty = new Set();
  let waiting = false;
  const timed = (name, draw) => { const begin = performance.now(); draw(); app.counters[name]++; app.counters[`${name}Time`] += performance.now() - begin; };
  function flush() {
    waiting = false;
    const now = new Set(dirty);
    dirty.clear();
    if (now.has("legend")) drawLegend(); // before the film, whose scale bar keeps clear of it
    if (now.has("film")) timed("film", app.film.draw);
    if (now.has("tree")) timed("tree", app.tree.draw);
    if (now.has("strip")) drawStrip();
    if (now.has("panel")) panels[state.tab].draw();
    if (now.has("tick")) panels.summary.tick();
  }
  app.redraw = (...names) => {
    for (const name of names) dirty.add(name);
    if (!waiting) { waiting = true; requestAnimationFrame(flush); }
  };

  app.film = makeFilm(app);
  app.tree = makeTree(app);
  const panels = { cell: makeCellPanel(app), divisions: makeDivisionPanel(app), signs: makeSignPanel(app), summary: makeSummaryPanel(app), run: makeRunPanel(app) };
  app.panels = panels;

  // Changes

  const needs = {
    frame: ["film", "tree", "strip", "tick"], row: ["film", "tree", "panel"], hover: ["film"], hoverAt: [], tail: ["film"], outlines: ["film"], fill: ["film"], numbers: ["film"], marks: ["film", "tree"],
    colour: ["film", "tree", "legend", "panel"], follow: ["film"], layer: ["film"], bright: ["film"], invert: ["film"], tab: ["panel"],
  };
  app.set = (changes) => {
    for (const [key, value] of Object.entries(changes)) {
      if (state[key] === value) continue;
      state[key] = value;
      app.redraw(...(needs[key] || []));
    }
    if ("hoverAt" in changes) tip();
  };

  let spoken = 0;
  app.say = (text) => { clearTimeout(spoken); spoken = setTimeout(() => { $("said").textContent = text; }, 150); };
  app.clock = (t) => (model.meta.interval ? duration(t * model.meta.interval) : "");

  app.seek = (t) => {
    const frame = Math.min(Math.max(Math.round(t), 0), model.T - 1);
    if (frame === state.frame) return;
    app.set({ frame });
    $("frame").value = String(frame);
    sayFrame();
    ahead(frame);
    // the selection goes with its branch through time
    if (state.row >= 0) { const row = model.cellAt(model.track[state.row], frame); if (row >= 0) app.set({ row }); }
  };

  function sayFrame() {
    const seen = app.pictures ? app.pictures.pictured(state.frame) : state.frame;
    const time = app.clock(state.frame);
    $("frame-value").replaceChildren(element("b", {}, String(state.frame)), ` / ${model.T - 1}`, time ? element("span", {}, ` ${time}`) : "", seen === state.frame ? "" : element("span", {}, ` picture of frame ${seen}`));
    $("frame").setAttribute("aria-valuetext", `frame ${state.frame} of ${model.T - 1}${time ? `, ${time}` : ""}`);
  }

  function ahead(frame) {
    if (!app.pictures) return;
    for (let k = 1; k <= (state.playing ? 6 : 2) && frame + k < model.T; k++) app.pictures.get(frame + k, state.layer);
  }

  app.select = (row, { jump = false, from = "", frame = null } = {}) => {
    if (row >= 0 && !app.visible[model.lineage[row]]) resetFilter();
    app.set({ row });
    if (row < 0) { app.say("Nothing selected"); app.redraw("panel"); return; }
    app.seek(frame ?? model.frame[row]);
    if (frame === null) app.set({ row });
    if (from !== "tree") app.tree.reveal(row);
    if (from !== "film") app.film.reveal(state.row);
    if (jump) app.film.reveal(state.row);
    if (from && state.tab !== "cell") app.openTab("cell");
    app.redraw("panel");
    app.say(`Tracklet ${model.trackId[model.track[row]]}, lineage ${model.lineageId[model.lineage[row]]}, frame ${model.frame[row]}; ${model.fate(model.track[row])}`);
  };
  app.goToSign = (sign) => panels.signs.go(sign);

  function tip() {
    const { hover, hoverAt } = state;
    const node = $("tip");
    node.hidden = hover < 0 || !hoverAt;
    $("stage").style.cursor = hover >= 0 ? "pointer" : "";
    if (node.hidden) return;
    const extra = app.way.scale ? ` · ${app.way.title} ${valueText(hover)}` : "";
    node.textContent = `${model.trackId[model.track[hover]]} · lineage ${model.lineageId[model.lineage[hover]]}${extra}`;
    const box = $("stage-box");
    node.style.left = `${Math.min(hoverAt[0] + 14, box.clientWidth - node.offsetWidth - 6)}px`;
    node.style.top = `${Math.max(hoverAt[1] - 30, 4)}px`;
  }
  function valueText(row) {
    const name = app.way.name;
    if (name === "confidence") return Number.isFinite(model.cost[row]) && !model.daughter(row) ? likely(model.cost[row]) : "–";
    if (name === "link_cost") return tidy(model.cost[row]);
    if (name === "slack") return tidy(model.slack[row]);
    if (name === "depth") return tidy(model.z[row]);
    const column = model.measured.find((c) => `measured:${c.name}` === name);
    return column ? (column.categories ? column.categories[column.values[row]] : tidy(column.values[row])) : "";
  }

  // Filters

  function filter() {
    for (let l = 0; l < model.lineages.count; l++) {
      app.visible[l] = model.lengthOf(l) >= state.shortest && (!state.dividing || model.lineages.divisions[l] > 0) && (!state.suspected || model.lineages.signs[l] > 0) ? 1 : 0;
    }
    const shown = app.visible.reduce((sum, v) => sum + v, 0);
    $("filter-count").textContent = `${shown.toLocaleString("en")} of ${plural(model.lineages.count, "lineage")} shown`;
    $("filter-name").textContent = shown === model.lineages.count ? "Show" : `Show: ${shown}`;
    $("filter-name").parentElement.classList.toggle("active", shown !== model.lineages.count);
    app.tree.layout();
    app.tree.fit();
    app.redraw("film");
  }
  function resetFilter() {
    Object.assign(state, { shortest: 1, dividing: false, suspected: false });
    $("shortest").value = "1";
    $("shortest-value").textContent = "1";
    $("dividing").checked = $("suspected").checked = false;
    filter();
  }

  // Playing

  let last = 0;
  function play(now) {
    if (!state.playing) return;
    if (now - last >= 1000 / state.speed - 2) {
      const next = state.frame + 1 < model.T ? state.frame + 1 : 0;
      if (!app.pictures || app.pictures.get(next, state.layer)) { last = now - last > 250 ? now : last + 1000 / state.speed; app.seek(next); }
    }
    requestAnimationFrame(play);
  }
  app.play = (on = !state.playing) => {
    if (on === state.playing || (on && model.T < 2)) return;
    state.playing = on;
    $("play-shape").setAttribute("d", on ? "M5.5 4h3v12h-3zM11.5 4h3v12h-3z" : "M6 4l10 6-10 6z");
    $("play").setAttribute("aria-label", on ? "Pause" : "Play");
    if (on) { last = performance.now(); requestAnimationFrame(play); }
  };

  // The strip above the slider: how many cells there are, and when they divide

  function drawStrip() {
    const canvas = $("strip");
    const width = canvas.clientWidth, height = canvas.clientHeight, ratio = Math.min(window.devicePixelRatio || 1, 2);
    if (!width) return;
    if (canvas.width !== Math.round(width * ratio)) { canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio); }
    const g = canvas.getContext("2d");
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.clearRect(0, 0, width, height);
    const edge = 8, X = (t) => edge + (t * (width - 2 * edge)) / Math.max(model.T - 1, 1);
    let top = 1;
    const count = (t) => model.meta.whole?.cells[t] ?? model.at[t + 1] - model.at[t];
    for (let t = 0; t < model.T; t++) top = Math.max(top, count(t));
    g.beginPath();
    g.moveTo(X(0), height);
    for (let t = 0; t < model.T; t++) g.lineTo(X(t), height - (count(t) / top) * (height - 5));
    g.lineTo(X(model.T - 1), height);
    g.closePath();
    g.fillStyle = app.ink.wash;
    g.fill();
    g.save();
    g.beginPath();
    g.rect(0, 0, X(state.frame), height);
    g.clip();
    g.beginPath();
    g.moveTo(X(0), height);
    for (let t = 0; t < model.T; t++) g.lineTo(X(t), height - (count(t) / top) * (height - 5));
    g.lineTo(X(model.T - 1), height);
    g.closePath();
    g.globalAlpha = 0.45;
    g.fillStyle = app.ink.accent;
    g.fill();
    g.restore();
    g.fillStyle = app.ink.weak;
    for (const c of model.divisions) g.fillRect(X(model.tracks.end[c]) - 0.5, 0, 1, 4);
  }

  function drawLegend() {
    const way = app.way, node = $("legend"), ground = app.ground("film");
    const colour = (k) => way.palette[ground][k];
    node.classList.toggle("on-dark", ground === "dark");
    if (way.scale) {
      const { low, high, text, flip, missing } = way.scale;
      const bar = element("i", { class: "ramp", "aria-hidden": "true" });
      const stops = Array.from({ length: 9 }, (_, k) => colour(Math.round((k / 8) * (STEPS - 1))));
      bar.style.background = `linear-gradient(to right, ${(flip ? stops.reverse() : stops).join(",")})`;
      const grey = element("i", { class: "swatch", "aria-hidden": "true" });
      grey.style.background = colour(STEPS);
      node.replaceChildren(element("b", {}, way.title), element("span", {}, text(low), bar, text(high)), ...(missing ? [element("span", {}, grey, missing)] : []));
    } else if (way.legend) {
      node.replaceChildren(element("b", {}, way.title), ...way.legend.map(([k, text]) => { const i = element("i", { class: "swatch", "aria-hidden": "true" }); i.style.background = colour(k % N_CATEGORIES); return element("span", {}, i, text); }));
    } else node.replaceChildren();
    node.hidden = !node.children.length;
    app.legendBox = node.hidden ? [0, Infinity] : [node.offsetLeft + node.offsetWidth, node.offsetTop];
  }

  // Finding by number or name

  function matches(text) {
    const query = text.trim();
    if (!query) return [];
    const found = [];
    const { tracks, lineages } = model;
    const number = /^([ltm#]?)\s*(\d+)$/i.exec(query);
    const first = (l) => tracks.first[lineages.tracks.list[lineages.tracks.start[l]]];
    if (number) {
      const kind = number[1].toLowerCase(), k = Number(number[2]);
      const c = binary(model.trackId, k), l = binary(model.lineageId, k);
      if ("t".includes(kind) && c >= 0) { const row = model.cellAt(c, state.frame); found.push({ text: `Tracklet ${k}`, note: `frames ${tracks.start[c]} to ${tracks.end[c]}`, row: row >= 0 ? row : tracks.first[c] }); }
      if ("l".includes(kind) && l >= 0) found.push({ text: `Lineage ${k}`, note: plural(lineages.divisions[l], "division"), row: first(l) });
      if ("m".includes(kind)) for (let i = model.at[state.frame]; i < model.at[state.frame + 1]; i++) if (k && model.label[i] === k) found.push({ text: `Mask label ${k}`, note: `in this frame, tracklet ${model.trackId[model.track[i]]}`, row: i });
      if (kind === "#" || !kind) { const i = binary(model.id, k); if (i >= 0) found.push({ text: `Detection ${k}`, note: `frame ${model.frame[i]}, tracklet ${model.trackId[model.track[i]]}`, row: i }); }
    }
    const lower = query.toLowerCase();
    for (const column of model.measured) {
      if (!column.categories || column.flag) continue;
      const hits = new Map();
      column.categories.forEach((name, k) => { if (name && name.toLowerCase().includes(lower)) hits.set(k, -1); });
      if (!hits.size || found.length > 30) continue;
      for (let i = 0; i < model.n; i++) if (hits.get(column.values[i]) === -1) hits.set(column.values[i], i);
      const sorted = [...hits].sort((a, b) => column.categories[a[0]].length - column.categories[b[0]].length || a[0] - b[0]);
      for (const [k, i] of sorted.slice(0, 30)) if (i >= 0) found.push({ text: column.categories[k], note: `${column.name}, first in frame ${model.frame[i]}`, row: i });
    }
    return found.slice(0, 30);
  }
  function binary(list, value) {
    let a = 0, b = list.length;
    while (a < b) { const h = (a + b) >> 1; if (list[h] < value) a = h + 1; else b = h; }
    return list[a] === value ? a : -1;
  }

  function wireSearch() {
    const input = $("search"), list = $("found");
    let found = [], at = 0;
    const show = () => {
      found = matches(input.value);
      at = 0;
      list.replaceChildren(...(found.length ? found.map((hit, k) => element("li", { role: "option", id: `found-${k}`, "aria-selected": String(k === at), onpointerdown: (event) => { event.preventDefault(); take(k); } }, element("b", {}, hit.text), element("span", {}, hit.note)))
        : [element("li", { class: "none" }, "Nothing is called that. Try a number, L3, T8, or a part of a name.")]));
      const open = Boolean(input.value.trim());
      list.hidden = !open;
      input.setAttribute("aria-expanded", String(open));
      mark();
    };
    const mark = () => {
      [...list.children].forEach((node, k) => node.setAttribute("aria-selected", String(k === at)));
      if (found.length) { input.setAttribute("aria-activedescendant", `found-${at}`); list.children[at].scrollIntoView({ block: "nearest" }); } else input.removeAttribute("aria-activedescendant");
    };
    const close = () => { list.hidden = true; input.setAttribute("aria-expanded", "false"); };
    const take = (k) => {
      if (!found[k]) return;
      app.select(found[k].row, { jump: true });
      app.openTab("cell");
      close();
      $("stage").focus({ preventScroll: true });
    };
    input.addEventListener("input", show);
    input.addEventListener("focus", () => { if (input.value) show(); });
    input.addEventListener("blur", close);
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") take(at);
      else if (event.key === "Escape") { input.value = ""; close(); input.blur(); }
      else if (event.key === "ArrowDown" || event.key === "ArrowUp") { at = (at + (event.key === "ArrowDown" ? 1 : -1) + found.length) % Math.max(found.length, 1); mark(); event.preventDefault(); }
    });
  }

  // Tabs

  const TABS = ["cell", "divisions", "signs", "summary", "run"];
  app.openTab = (name) => {
    for (const tab of TABS) {
      const chosen = tab === name;
      $(`tab-${tab}`).setAttribute("aria-selected", String(chosen));
      $(`tab-${tab}`).tabIndex = chosen ? 0 : -1;
      $(`panel-${tab}`).hidden = !chosen;
    }
    app.set({ tab: name });
    app.redraw("panel");
  };
  function wireTabs() {
    for (const tab of TABS) {
      $(`tab-${tab}`).addEventListener("click", () => app.openTab(tab));
      $(`tab-${tab}`).addEventListener("keydown", (event) => {
        const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!move) return;
        const next = TABS[(TABS.indexOf(tab) + move + TABS.length) % TABS.length];
        app.openTab(next);
        $(`tab-${next}`).focus();
        event.stopPropagation();
        event.preventDefault();
      });
    }
    $("tab-divisions").append(element("small", {}, String(model.divisions.length)));
    if (model.signs.length) $("tab-signs").append(element("small", {}, String(model.signs.length)));
  }

  // Controls

  function wireControls() {
    const slider = $("frame");
    slider.max = String(model.T - 1);
    slider.addEventListener("input", () => app.seek(Number(slider.value)));
    $("play").addEventListener("click", () => app.play());
    $("speed").addEventListener("change", (event) => { state.speed = Number(event.target.value); });
    for (const way of ways) $("colour").append(element("option", { value: way.name }, way.title));
    $("colour").addEventListener("change", (event) => { app.way = ways.find((way) => way.name === event.target.value); app.set({ colour: app.way.name }); });
    for (const name of ["outlines", "fill", "numbers", "marks", "invert"]) $(name).addEventListener("change", (event) => { app.set({ [name]: event.target.checked }); app.film.adjust(); });
    const range = (name, text, after) => {
      const node = $(name), said = $(`${name}-value`);
      const read = () => { said.textContent = text(Number(node.value)); app.set({ [name]: Number(node.value) }); after?.(); };
      node.addEventListener("input", read);
      said.textContent = text(Number(node.value));
    };
    range("tail", (k) => (k ? plural(k, "frame") : "none"));
    range("bright", (k) => `${k} %`, app.film.adjust);
    let longest = 1;
    for (let l = 0; l < model.lineages.count; l++) longest = Math.max(longest, model.lengthOf(l));
    $("shortest").max = String(Math.max(longest, 2));
    range("shortest", String, filter);
    for (const name of ["dividing", "suspected"]) $(name).addEventListener("change", (event) => { state[name] = event.target.checked; filter(); });
    $("sort").addEventListener("change", (event) => { state.sort = event.target.value; app.tree.layout(); app.tree.fit(); });
    $("fold").addEventListener("click", () => app.tree.foldAll(true));
    $("unfold").addEventListener("click", () => app.tree.foldAll(false));
    $("tree-fit").addEventListener("click", app.tree.fit);
    $("film-fit").addEventListener("click", () => { follow(false); app.film.fit(); });
    $("follow").addEventListener("click", () => follow(!state.follow));
    for (const node of document.querySelectorAll("[data-turn]")) node.addEventListener("click", () => app.film.look(node.dataset.turn));
    $("turns").hidden = !app.film.turning;
    for (const node of document.querySelectorAll(".pixels")) node.hidden = !app.pictures;
    if (!model.outline) $("outlines").closest("label").hidden = $("fill").closest("label").hidden = true;
    if (!model.signs.length) { for (const name of ["marks", "suspected"]) $(name).closest("label").hidden = true; $("sort").querySelector("[value=signs]").remove(); }
    $("theme").addEventListener("click", turnTheme);
    system.addEventListener("change", repaint);
    $("help").addEventListener("click", () => $("keys").showModal());
    document.addEventListener("pointerdown", (event) => { for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false; });
    wireDepth();
  }

  function wireDepth() {
    const layers = model.dims === 3 ? (app.pictures ? app.pictures.layers : model.n ? 12 : 0) : 0;
    state.layers = layers;
    $("depth").hidden = !layers;
    const node = $("layer"), said = $("layer-value");
    node.max = String(layers);
    const read = () => {
      const k = Number(node.value);
      app.set({ layer: k });
      const [a, b] = model.depth || [0, 1];
      said.textContent = k ? `${tidy(Number((a + ((b - a) * (k - 1)) / layers).toPrecision(3)))} to ${tidy(Number((a + ((b - a) * k) / layers).toPrecision(3)))}` : "all";
    };
    node.addEventListener("input", read);
    read();
  }

  function follow(on) {
    app.set({ follow: on });
    $("follow").setAttribute("aria-pressed", String(on));
  }

  function turnTheme() {
    document.documentElement.dataset.theme = app.theme === "dark" ? "light" : "dark";
    repaint();
  }

  // Keys

  function toggle(name) {
    $(name).checked = !$(name).checked;
    app.set({ [name]: $(name).checked });
  }
  const up = (direction) => { const row = app.tree.neighbour(direction); if (row >= 0) { app.select(row); app.tree.reveal(row); } };
  const KEYS = {
    " ": () => app.play(), Home: () => app.seek(0), End: () => app.seek(model.T - 1),
    ArrowLeft: (event) => app.seek(state.frame - (event.shiftKey ? 10 : 1)), ArrowRight: (event) => app.seek(state.frame + (event.shiftKey ? 10 : 1)),
    ArrowUp: () => up(-1), ArrowDown: () => up(1), "[": () => panels.divisions.step(-1), "]": () => panels.divisions.step(1), ",": () => panels.signs.step(-1), ".": () => panels.signs.step(1),
    "/": () => { $("search").focus(); $("search").select(); }, "?": () => $("keys").showModal(), Escape: () => { for (const menu of document.querySelectorAll("details.menu[open]")) menu.open = false; app.select(-1); },
    "+": () => zoomHere(1.3), "=": () => zoomHere(1.3), "-": () => zoomHere(1 / 1.3), "0": () => (document.activeElement === $("forest") ? app.tree.fit() : app.film.fit()),
    f: () => follow(!state.follow), c: () => { if (state.row >= 0) app.tree.fold(model.track[state.row]); }, o: () => toggle("outlines"), l: () => toggle("numbers"), t: turnTheme,
  };
  const zoomHere = (factor) => (document.activeElement === $("forest") ? app.tree.zoom(factor, factor) : app.film.zoom(factor));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || $("keys").open) return;
    const node = event.target;
    const typing = node.matches("input[type=search], select, textarea");
    if (typing && event.key !== "?") { if (!node.matches("input[type=search]") || event.key !== "Escape") return; }
    if (typing && node.matches("input[type=search]")) return;
    if (node.matches("input[type=range]") && node.id !== "frame" && /^(Arrow|Home|End)/.test(event.key)) return;
    if (event.key === " " && node.matches("button, summary, input[type=checkbox]") && node.id !== "play") return;
    if (event.key === "Enter" && node.id === "stage") { const row = app.film.middleCell(); if (row >= 0) app.select(row, { from: "film" }); return; }
    if (/^Arrow(Up|Down)$/.test(event.key) && (node.closest(".panel") || node.matches("summary")) && !node.matches("canvas")) return;
    if (/^(Home|End)$/.test(event.key) && node.closest(".panel")) return;
    const act = KEYS[event.key];
    if (!act) return;
    event.preventDefault();
    act(event);
  });

  // Sizes

  const sizes = new ResizeObserver((entries) => {
    for (const entry of entries) {
      if (entry.target === $("stage-box")) { app.film.resize(); app.redraw("legend"); }
      else if (entry.target === $("forest-box")) app.tree.resize();
      else app.redraw("strip", ...(state.tab === "summary" ? ["panel"] : []));
    }
  });

  // a wide film gets the wider half
  const aspect = (model.field.x1 - model.field.x0) / (model.field.y1 - model.field.y0 || 1);
  document.documentElement.style.setProperty("--aspect", String(Math.min(Math.max(aspect, 0.3), 4)));
  document.documentElement.style.setProperty("--share", `${Math.min(Math.max(aspect, 0.9), 1.5)}fr`);
  const whole = model.meta.whole;
  $("counts").textContent = [plural(model.T, "frame"), plural(whole?.detections ?? model.n, "detection"), `${plural(whole?.lineages ?? model.lineages.count, "lineage")}${whole ? ` (${model.lineages.count.toLocaleString("en")} shown)` : ""}`, plural(whole?.divided ?? model.divisions.length, "division")].join(" · ");
  wireTabs();
  wireControls();
  wireSearch();
  sayFrame();
  filter();
  for (const id of ["stage-box", "forest-box", "strip", "panel-summary"]) sizes.observe($(id));
  app.film.resize();
  app.tree.resize();
  app.redraw("film", "tree", "strip", "legend", "panel");
  ahead(-1);
  if (app.pictures) await app.pictures.load(0, 0);
  document.documentElement.dataset.ready = "true";
  return app;
}

// What goes wrong is said on the page, not only where developers look
function trouble(error) {
  $("trouble").textContent = `This report could not be opened: ${error?.message || error}. A current Firefox, Chrome, Edge or Safari is needed.`;
  $("trouble").hidden = false;
  $("opening").hidden = true;
}

window.addEventListener("unhandledrejection", (event) => trouble(event.reason));
start().then((app) => { window.lineageReport = app; }, (error) => { trouble(error); console.error(error); });
