// The tree: all lineages, time to the right, one line a tracklet; only what is in sight is drawn.

function makeTree(app) {
  const { model } = app;
  const { tracks, lineages } = model;
  const box = $("forest-box"), canvas = $("forest");
  const screen = canvas.getContext("2d");
  const base = document.createElement("canvas"), gb = base.getContext("2d"); // all that stays while only time or the selection change
  let g = screen, baseKey = "", baseThick = 1, version = 0;
  const view = { left: 0, top: 0, frameWide: 8, rowHigh: 6, fitted: true }; // frames and rows at the upper left corner; pixels a frame, a row
  const place = new Float32Array(tracks.count).fill(-1); // row of every tracklet, -1 where folded away or filtered out
  const folded = new Uint8Array(tracks.count);
  let order = []; // lineages in sight, in turn
  let from = new Float32Array(0), to = new Float32Array(0); // rows of each of them
  let rows = 0;
  let width = 1, height = 1, ratio = 1, grip = null;
  const digits = String(model.lineageId[lineages.count - 1] ?? 0).length;
  const GUTTER = 46 + 8 * Math.max(digits - 3, 0), HEAD = 26, FOOT = 8;

  const X = (t) => GUTTER + (t - view.left) * view.frameWide;
  const Y = (row) => HEAD + (row + 0.5 - view.top) * view.rowHigh;

  // Layout: leaves take rows, mothers stand between their daughters. Parents come before children, so no recursion is needed.

  function layout() {
    place.fill(-1);
    order = [];
    for (let l = 0; l < lineages.count; l++) if (app.visible[l]) order.push(l);
    const key = {
      cells: (l) => -lineages.cells[l], divisions: (l) => -lineages.divisions[l], start: (l) => lineages.start[l],
      length: (l) => -model.lengthOf(l), signs: (l) => -lineages.signs[l], id: (l) => l,
    }[app.state.sort];
    order.sort((a, b) => key(a) - key(b) || -lineages.cells[a] + lineages.cells[b] || a - b);
    from = new Float32Array(order.length);
    to = new Float32Array(order.length);
    const leaves = new Int32Array(tracks.count), begin = new Float32Array(tracks.count);
    let next = 0;
    order.forEach((l, k) => {
      const list = lineages.tracks.list, a = lineages.tracks.start[l], b = lineages.tracks.start[l + 1];
      const hidden = (t) => tracks.parent[t] >= 0 && (folded[tracks.parent[t]] || begin[tracks.parent[t]] < 0);
      for (let j = a; j < b; j++) { const t = list[j]; leaves[t] = 0; begin[t] = hidden(t) ? -1 : 0; }
      for (let j = b - 1; j >= a; j--) {
        const t = list[j];
        if (begin[t] < 0) continue;
        leaves[t] = Math.max(leaves[t], 1);
        if (tracks.parent[t] >= 0) leaves[tracks.parent[t]] += leaves[t];
      }
      from[k] = next;
      for (let j = a; j < b; j++) {
        const t = list[j];
        if (begin[t] < 0) continue;
        if (tracks.parent[t] < 0) { begin[t] = next; next += leaves[t]; }
        let at = begin[t];
        if (!folded[t]) for (const c of model.childrenOf(t)) { begin[c] = at; at += leaves[c]; }
      }
      for (let j = b - 1; j >= a; j--) {
        const t = list[j];
        if (begin[t] < 0) continue;
        const open = folded[t] ? [] : model.childrenOf(t);
        place[t] = open.length ? open.reduce((sum, c) => sum + place[c], 0) / open.length : begin[t];
      }
      to[k] = next;
      next += 0.35; // a little air between lineages
    });
    rows = next;
    version++;
    bound();
    app.redraw("tree");
  }

  const highest = () => Math.max(height - HEAD - FOOT, 1);
  const fitRow = () => Math.min(Math.max(highest() / Math.max(rows, 1), 0.02), 22);
  const fitFrame = () => Math.max((width - GUTTER - 18) / Math.max(model.T - 1, 1), 0.01);

  function fit() {
    view.frameWide = fitFrame();
    view.rowHigh = Math.max(fitRow(), 2.2);
    view.left = 0;
    view.top = 0;
    view.fitted = true;
    bound();
    app.redraw("tree");
  }

  function bound() {
    const least = fitFrame();
    view.frameWide = Math.min(Math.max(view.frameWide, least), 120);
    view.rowHigh = Math.min(Math.max(view.rowHigh, Math.min(fitRow(), 2.2)), 48);
    const across = (width - GUTTER - 18) / view.frameWide, down = highest() / view.rowHigh;
    view.left = Math.min(Math.max(view.left, 0), Math.max(model.T - 1 - across, 0));
    view.top = Math.min(Math.max(view.top, -0.3), Math.max(rows - down + 0.3, -0.3));
  }

  function zoom(fx, fy, x = width / 2, y = height / 2) {
    const t = view.left + (x - GUTTER) / view.frameWide, r = view.top + (y - HEAD) / view.rowHigh;
    view.frameWide *= fx;
    view.rowHigh *= fy;
    view.fitted = false;
    bound();
    view.left = t - (x - GUTTER) / view.frameWide;
    view.top = r - (y - HEAD) / view.rowHigh;
    bound();
    app.redraw("tree");
  }

  function pan(dx, dy) {
    view.left -= dx / view.frameWide;
    view.top -= dy / view.rowHigh;
    view.fitted = false;
    bound();
    app.redraw("tree");
  }

  function resize() {
    width = Math.max(box.clientWidth, 1);
    height = Math.max(box.clientHeight, 1);
    ratio = Math.min(window.devicePixelRatio || 1, 2);
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    if (view.fitted) fit(); else { bound(); app.redraw("tree"); }
  }

  // The lineages between two rows: their places in `order`
  function inSight(top, bottom) {
    let a = 0, b = order.length;
    while (a < b) { const h = (a + b) >> 1; if (to[h] < top) a = h + 1; else b = h; }
    let end = a;
    while (end < order.length && from[end] <= bottom) end++;
    return [a, end];
  }

  // Drawing

  const lanes = Array.from({ length: 64 }, () => []);
  const gaps = Array.from({ length: 64 }, () => []);

  function collect(way, a, b) {
    const t0 = view.left - 1, t1 = view.left + (width - GUTTER) / view.frameWide + 1;
    const top = view.top - 1, bottom = view.top + height / view.rowHigh + 1;
    let cells = 0;
    for (let k = a; k < b; k++) cells += lineages.cells[order[k]];
    const fine = !way.trackwise && cells < 25000;
    const dots = [], crosses = [], folds = [], marks = [];
    for (let k = a; k < b; k++) {
      const l = order[k];
      for (let j = lineages.tracks.start[l]; j < lineages.tracks.start[l + 1]; j++) {
        const c = lineages.tracks.list[j];
        const row = place[c];
        if (row < 0) continue;
        const s = tracks.start[c], e = tracks.end[c], p = tracks.parent[c];
        if (p >= 0 && tracks.end[p] <= t1 && s >= t0) {
          const bucket = way.bucket(tracks.first[c]);
          (s - tracks.end[p] > 1 ? gaps : lanes)[bucket].push(tracks.end[p], place[p], s, row);
        }
        if (row < top || row > bottom || s > t1 || e < t0) continue;
        if (fine) spread(way, c, row, Math.max(s, Math.floor(t0)), Math.min(e, Math.ceil(t1)));
        else lanes[way.bucket(way.trackwise ? tracks.first[c] : model.tracks.rows.list[(tracks.rows.start[c] + tracks.rows.start[c + 1]) >> 1])].push(s, row, e, row);
        const children = model.nChildren(c);
        if (children > 1) (folded[c] ? folds : dots).push(c);
        else if (children === 1 && folded[c]) folds.push(c);
        else if (!children && e < model.T - 1) crosses.push(c);
      }
    }
    if (app.state.marks) {
      for (const i of model.signAt.keys()) {
        const row = place[model.track[i]];
        if (row >= top && row <= bottom) marks.push(model.frame[i], row);
      }
    }
    return { dots, crosses, folds, marks };
  }

  // A tracklet whose colour changes from cell to cell: neighbours of one colour are one line
  function spread(way, c, row, s, e) {
    let begun = s, bucket = way.bucket(model.cellAt(c, s));
    for (let t = s + 1; t <= e; t++) {
      const next = way.bucket(model.cellAt(c, t));
      if (next === bucket) continue;
      lanes[bucket].push(begun, row, t - 0.5, row);
      begun = t - 0.5;
      bucket = next;
    }
    lanes[bucket].push(begun, row, e === begun ? e + 0.01 : e, row);
  }

  function strokeLane(list) {
    g.beginPath();
    for (let j = 0; j < list.length; j += 4) curve(list[j], list[j + 1], list[j + 2], list[j + 3]);
    g.stroke();
  }

  function curve(t0, r0, t1, r1) {
    const x0 = X(t0), y0 = Y(r0), x1 = X(t1), y1 = Y(r1);
    g.moveTo(x0, y0);
    if (r0 === r1) g.lineTo(Math.max(x1, x0 + 1), y1);
    else if (view.frameWide > 3 && Math.abs(y1 - y0) > 3) g.bezierCurveTo(x0 + 0.5 * (x1 - x0), y0, x0 + 0.5 * (x1 - x0), y1, x1, y1);
    else g.lineTo(x1, y1);
  }

  function drawLines(palette, faded) {
    const thick = Math.min(Math.max(0.34 * view.rowHigh, 1.1), 3);
    g.lineCap = thick > 1.5 && app.way.trackwise ? "round" : "butt"; // pieces of one line must not overlap
    g.lineWidth = thick;
    g.globalAlpha = !faded ? 1 : app.theme === "dark" ? 0.55 : 0.42;
    for (let k = 0; k < palette.length; k++) {
      g.strokeStyle = palette[k];
      if (lanes[k].length) { strokeLane(lanes[k]); lanes[k].length = 0; }
      if (gaps[k].length) { g.setLineDash([3, 3]); strokeLane(gaps[k]); gaps[k].length = 0; g.setLineDash([]); }
    }
    return thick;
  }

  function drawNodes({ dots, crosses, folds, marks }, ink, paper) {
    if (view.rowHigh < 3.2) return;
    const r = Math.min(Math.max(0.26 * view.rowHigh, 1.4), 4);
    g.fillStyle = ink.strong;
    g.beginPath();
    for (const c of dots) { const x = X(tracks.end[c]), y = Y(place[c]); g.moveTo(x + r, y); g.arc(x, y, r, 0, 7); }
    g.fill();
    g.strokeStyle = ink.weak;
    g.lineWidth = 1.2;
    g.beginPath();
    const d = Math.min(r, 2.6);
    for (const c of crosses) { const x = X(tracks.end[c]) + d + 2, y = Y(place[c]); g.moveTo(x - d, y - d); g.lineTo(x + d, y + d); g.moveTo(x - d, y + d); g.lineTo(x + d, y - d); }
    g.stroke();
    g.font = "600 10px system-ui, sans-serif";
    g.textBaseline = "middle";
    g.textAlign = "left";
    for (const c of folds) {
      const x = X(tracks.end[c]), y = Y(place[c]);
      g.beginPath();
      g.moveTo(x - 2, y - r - 1.5); g.lineTo(x + r + 2.5, y); g.lineTo(x - 2, y + r + 1.5); g.closePath();
      g.fillStyle = ink.strong;
      g.fill();
      if (view.rowHigh >= 8) { g.fillStyle = ink.weak; g.fillText(`+${below(c)}`, x + r + 6, y); }
    }
    for (let j = 0; j < marks.length; j += 2) {
      const x = X(marks[j]), y = Y(marks[j + 1]), s = Math.max(r + 0.5, 2.6);
      g.beginPath();
      g.moveTo(x, y - s - 1); g.lineTo(x + s, y + s * 0.8); g.lineTo(x - s, y + s * 0.8); g.closePath();
      g.fillStyle = "#ffd23d";
      g.strokeStyle = paper === "dark" ? "#1b1400" : "#5c4a00";
      g.lineWidth = 1;
      g.fill();
      g.stroke();
    }
  }

  const belowOf = new Map();
  function below(c) {
    if (!belowOf.has(c)) { let count = 0; const todo = [c]; while (todo.length) for (const d of model.childrenOf(todo.pop())) { count++; todo.push(d); } belowOf.set(c, count); }
    return belowOf.get(c);
  }

  // The selected branch, the way to it from the root and everything that comes of it, above the faded rest
  function drawSelected(way, palette, ink, thick) {
    const { row, frame } = app.state;
    if (row < 0) return;
    const chosen = model.track[row];
    const family = [];
    for (let c = tracks.parent[chosen]; c >= 0; c = tracks.parent[c]) family.push(c);
    const todo = [chosen];
    while (todo.length) { const c = todo.pop(); family.push(c); todo.push(...model.childrenOf(c)); }
    g.lineWidth = thick + 0.8;
    for (const c of family) {
      if (place[c] < 0) continue;
      g.strokeStyle = palette[way.bucket(tracks.first[c])];
      const p = tracks.parent[c];
      g.beginPath();
      if (p >= 0 && place[p] >= 0) curve(tracks.end[p], place[p], tracks.start[c], place[c]);
      g.moveTo(X(tracks.start[c]), Y(place[c]));
      g.lineTo(Math.max(X(tracks.end[c]), X(tracks.start[c]) + 1), Y(place[c]));
      g.stroke();
    }
    if (place[chosen] < 0) return;
    const y = Y(place[chosen]), x0 = X(tracks.start[chosen]), x1 = Math.max(X(tracks.end[chosen]), x0 + 1);
    g.lineCap = "round";
    for (const [style, size] of [[ink.strong, thick + 5], [ink.paper, thick + 2.5], [palette[way.bucket(row)], thick + 1]]) {
      g.strokeStyle = style;
      g.lineWidth = size;
      g.beginPath();
      g.moveTo(x0, y);
      g.lineTo(x1, y);
      g.stroke();
    }
    if (frame < tracks.start[chosen] || frame > tracks.end[chosen]) return;
    g.beginPath();
    g.arc(X(frame), y, Math.max(thick + 2, 5), 0, 7);
    g.fillStyle = ink.paper;
    g.fill();
    g.strokeStyle = ink.strong;
    g.lineWidth = 2.2;
    g.stroke();
  }

  function drawGutter(a, b, ink) {
    g.clearRect(0, HEAD, GUTTER - 8, height);
    g.fillStyle = ink.paper;
    g.fillRect(0, HEAD, GUTTER - 8, height);
    g.font = "500 11px system-ui, sans-serif";
    g.textAlign = "right";
    g.textBaseline = "middle";
    let free = -1e9;
    const chosen = app.state.row >= 0 ? model.lineage[app.state.row] : -1;
    for (let k = a; k < b; k++) {
      const y = HEAD + ((from[k] + to[k]) / 2 - view.top) * view.rowHigh;
      const mine = order[k] === chosen;
      if (!mine && (y - free < 13 || y < HEAD + 4)) continue;
      if (mine && y - free < 13) g.clearRect(0, y - 7, GUTTER - 8, 14);
      g.fillStyle = mine ? ink.accent : ink.weak;
      g.font = mine ? "700 11px system-ui, sans-serif" : "500 11px system-ui, sans-serif";
      g.fillText(`L${model.lineageId[order[k]]}`, GUTTER - 13, y);
      free = y;
    }
  }

  function drawTime(ink) {
    g.fillStyle = ink.paper;
    g.fillRect(0, 0, width, HEAD);
    const goal = 70 / view.frameWide;
    const power = 10 ** Math.max(Math.floor(Math.log10(Math.max(goal, 1))), 0);
    const step = [1, 2, 5, 10].map((s) => s * power).find((s) => s >= goal) || 10 * power;
    g.font = "500 11px system-ui, sans-serif";
    g.textAlign = "center";
    g.textBaseline = "middle";
    g.lineWidth = 1;
    for (let t = Math.ceil(view.left / step) * step; X(t) < width - 6 && t < model.T; t += step) {
      g.strokeStyle = ink.line;
      g.beginPath();
      g.moveTo(X(t), HEAD - 5);
      g.lineTo(X(t), HEAD);
      g.stroke();
      g.fillStyle = ink.weak;
      g.fillText(String(t), X(t), HEAD - 14);
    }
    const x = X(app.state.frame);
    if (x < GUTTER - 4 || x > width) return;
    g.fillStyle = ink.accent;
    g.fillRect(x - 0.75, HEAD - 6, 1.5, height);
    const text = String(app.state.frame), wide = g.measureText(text).width + 12;
    const mid = Math.min(Math.max(x, wide / 2 + 2), width - wide / 2 - 2);
    g.beginPath();
    g.roundRect(mid - wide / 2, HEAD - 23, wide, 17, 8.5);
    g.fill();
    g.fillStyle = ink.onAccent;
    g.font = "600 11px system-ui, sans-serif";
    g.fillText(text, mid, HEAD - 14);
  }

  function drawGrid(ink) {
    const goal = 70 / view.frameWide;
    const power = 10 ** Math.max(Math.floor(Math.log10(Math.max(goal, 1))), 0);
    const step = [1, 2, 5, 10].map((s) => s * power).find((s) => s >= goal) || 10 * power;
    g.strokeStyle = ink.line;
    g.lineWidth = 1;
    g.globalAlpha = 0.6;
    g.beginPath();
    for (let t = Math.ceil(view.left / step) * step; X(t) < width && t < model.T; t += step) { g.moveTo(Math.round(X(t)) + 0.5, HEAD); g.lineTo(Math.round(X(t)) + 0.5, height); }
    g.stroke();
    g.globalAlpha = 1;
  }

  function drawScroll(ink) {
    const down = highest() / view.rowHigh;
    if (down >= rows) return;
    const high = Math.max((highest() * down) / rows, 24), y = HEAD + ((highest() - high) * Math.max(view.top, 0)) / Math.max(rows - down, 1e-9);
    g.fillStyle = ink.weak;
    g.globalAlpha = 0.4;
    g.beginPath();
    g.roundRect(width - 7, y, 4, high, 2);
    g.fill();
    g.globalAlpha = 1;
  }

  function clip() {
    g.beginPath();
    g.rect(GUTTER - 8, HEAD - 1, width, height);
    g.clip();
  }

  function drawBase(a, b, way, palette, ink, paper) {
    const faded = app.state.row >= 0;
    const key = [view.left, view.top, view.frameWide, view.rowHigh, width, height, ratio, way.name, paper, faded, app.state.marks, version].join(" ");
    if (key === baseKey) return;
    baseKey = key;
    if (base.width !== canvas.width || base.height !== canvas.height) { base.width = canvas.width; base.height = canvas.height; }
    g = gb;
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.clearRect(0, 0, width, height);
    drawGrid(ink);
    const nodes = collect(way, a, b);
    g.save();
    clip();
    baseThick = drawLines(palette, faded);
    g.globalAlpha = faded ? 0.5 : 1;
    drawNodes(nodes, ink, paper);
    g.restore();
    g.globalAlpha = 1;
    g = screen;
  }

  function draw() {
    const paper = app.theme, ink = app.ink, way = app.way, palette = way.palette[paper];
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.clearRect(0, 0, width, height);
    if (!order.length) {
      g.fillStyle = ink.weak;
      g.font = "14px system-ui, sans-serif";
      g.textAlign = "center";
      g.fillText(lineages.count ? "The filter hides all lineages" : "There are no lineages", width / 2, height / 2);
      drawTime(ink);
      return;
    }
    const [a, b] = inSight(view.top - 1, view.top + height / view.rowHigh + 1);
    drawBase(a, b, way, palette, ink, paper);
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.drawImage(base, 0, 0);
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.save();
    clip();
    drawSelected(way, palette, ink, baseThick);
    g.restore();
    drawGutter(a, b, ink);
    drawTime(ink);
    drawScroll(ink);
  }

  // Finding the branch under the pointer

  function nearest(x, y) {
    const t = view.left + (x - GUTTER) / view.frameWide, row = view.top + (y - HEAD) / view.rowHigh - 0.5;
    const slack = Math.max(7 / view.rowHigh, 0.5), early = 8 / view.frameWide;
    const [a, b] = inSight(row - slack - 1, row + slack + 1);
    let best = -1, least = Infinity;
    for (let k = a; k < b; k++) {
      for (let j = lineages.tracks.start[order[k]]; j < lineages.tracks.start[order[k] + 1]; j++) {
        const c = lineages.tracks.list[j];
        if (place[c] < 0) continue;
        const across = Math.max(tracks.start[c] - t, t - tracks.end[c], 0), d = Math.abs(place[c] - row);
        if (d > slack || across > Math.max(early, 0.5)) continue;
        if (d * view.rowHigh + across * view.frameWide < least) { least = d * view.rowHigh + across * view.frameWide; best = c; }
      }
    }
    return { track: best, t: Math.round(Math.min(Math.max(t, 0), model.T - 1)), near: least };
  }

  function click(x, y) {
    const { track, t } = nearest(x, y);
    if (y < HEAD || track < 0) { if (x >= GUTTER - 8) app.seek(t); else lineageAt(y); return; }
    if (view.rowHigh >= 7 && model.nChildren(track) && Math.abs(X(tracks.end[track]) - x) < 6) { fold(track); return; }
    const frame = Math.min(Math.max(t, tracks.start[track]), tracks.end[track]);
    app.select(model.cellAt(track, frame), { from: "tree" });
  }

  function lineageAt(y) {
    const row = view.top + (y - HEAD) / view.rowHigh;
    const [a] = inSight(row, row);
    if (a < order.length) { const root = lineages.tracks.list[lineages.tracks.start[order[a]]]; app.select(tracks.first[root], { from: "tree" }); }
  }

  function fold(track, now = !folded[track]) {
    if (!model.nChildren(track)) return;
    folded[track] = now ? 1 : 0;
    layout();
    app.say(`${now ? "Folded" : "Unfolded"} ${plural(below(track), "branch")}${below(track) > 1 ? "es" : ""} after tracklet ${model.trackId[track]}`);
  }

  function foldAll(now) {
    for (let c = 0; c < tracks.count; c++) folded[c] = now && tracks.parent[c] < 0 && model.nChildren(c) ? 1 : 0;
    layout();
    fit();
  }

  watchPointers(canvas, {
    press: (x, y) => { grip = y < HEAD ? "time" : null; },
    pan: (dx, dy, x) => { if (grip === "time" && x !== undefined) app.seek(Math.round(view.left + (x - GUTTER) / view.frameWide)); else pan(dx, dy); },
    zoom: (factor, x, y) => zoom(factor, factor, x, y),
    click,
    double: (x, y) => { const { track } = nearest(x, y); if (track >= 0) fold(track); },
    hover: (x, y) => {
      if (x === null) { canvas.style.cursor = ""; return; }
      canvas.style.cursor = y < HEAD ? "ew-resize" : nearest(x, y).track >= 0 ? "pointer" : "";
    },
    wheel: (event, x, y) => {
      const factor = Math.exp(-(event.deltaY || event.deltaX) * (event.deltaMode === 1 ? 0.05 : 0.0016));
      if (event.shiftKey) zoom(factor, 1, x, y); else if (event.altKey) zoom(1, factor, x, y);
      else if (event.ctrlKey || view.rowHigh * rows <= highest() + 1 || event.deltaMode === 0 && Math.abs(event.deltaY) >= 50) zoom(factor, factor, x, y);
      else pan(-event.deltaX, -event.deltaY);
    },
  });

  // Bring a cell's branch into sight, unfolding what hides it
  function reveal(row) {
    let hidden = false;
    for (let c = tracks.parent[model.track[row]]; c >= 0; c = tracks.parent[c]) if (folded[c]) { folded[c] = 0; hidden = true; }
    if (hidden) layout();
    const at = place[model.track[row]];
    if (at < 0) return;
    const y = Y(at), x = X(model.frame[row]);
    if (y < HEAD + 14 || y > height - FOOT - 14) view.top = at - highest() / view.rowHigh / 2;
    if (x < GUTTER + 6 || x > width - 20) view.left = model.frame[row] - (width - GUTTER) / view.frameWide / 2;
    bound();
    app.redraw("tree");
  }

  // The branch above or below, among those that are there at the frame looked at
  function neighbour(direction) {
    const { row, frame } = app.state;
    const here = row < 0 ? -1 : place[model.track[row]];
    let best = -1, least = Infinity;
    for (let c = 0; c < tracks.count; c++) {
      if (place[c] < 0 || frame < tracks.start[c] || frame > tracks.end[c]) continue;
      const d = row < 0 ? place[c] : (place[c] - here) * direction;
      if ((row < 0 || (d > 0 && c !== model.track[row])) && d < least) { least = d; best = c; }
    }
    return best < 0 ? -1 : model.cellAt(best, frame);
  }

  return { draw, resize, fit, zoom, pan, layout, reveal, fold, foldAll, neighbour, view, at: (c, t) => [X(t), Y(place[c])], isFolded: (c) => Boolean(folded[c]), shownCount: () => order.length, rowCount: () => rows };
}
