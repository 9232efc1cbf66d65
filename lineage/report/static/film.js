// The film: one frame, its cells as outlines or points, the way they came, and what is selected.

function makeFilm(app) {
  const { model, pictures } = app;
  const box = $("stage-box"), image = $("image"), canvas = $("stage");
  const g = canvas.getContext("2d"), gi = image.getContext("2d", { alpha: false });
  const view = { cx: 0, cy: 0, k: 1, yaw: 0, pitch: 0, fitted: true };
  const turning = model.dims === 3 && !pictures; // points in space can be turned
  const middle = turning ? [(model.field.x0 + model.field.x1) / 2, (model.field.y0 + model.field.y1) / 2, (model.depth[0] + model.depth[1]) / 2] : [0, 0, 0];
  let width = 1, height = 1, ratio = 1;
  let m = [1, 0, 0, 0, 1, 0, 0, 0, 1];
  let shown = new Int32Array(0); // rows drawn last, for finding what was clicked
  let drawnImage = "", drawnTheme = ""; // what the canvas of the image shows
  const lanes = []; // coordinates by colour, used again for every picture

  // Projection: plane coordinates (u, v) of a row, and its depth w towards the eye

  function turned() {
    const cy = Math.cos(view.yaw), sy = Math.sin(view.yaw), cp = Math.cos(view.pitch), sp = Math.sin(view.pitch);
    m = [cy, 0, sy, sy * sp, cp, -cy * sp, -sy * cp, sp, cy * cp];
  }
  const u = turning ? (i) => middle[0] + m[0] * (model.x[i] - middle[0]) + m[2] * (model.z[i] - middle[2]) : (i) => model.x[i];
  const v = turning ? (i) => middle[1] + m[3] * (model.x[i] - middle[0]) + m[4] * (model.y[i] - middle[1]) + m[5] * (model.z[i] - middle[2]) : (i) => model.y[i];
  const w = turning ? (i) => m[6] * (model.x[i] - middle[0]) + m[7] * (model.y[i] - middle[1]) + m[8] * (model.z[i] - middle[2]) : () => 0;
  const sx = (i) => (u(i) - view.cx) * view.k + width / 2;
  const sy = (i) => (v(i) - view.cy) * view.k + height / 2;

  function extent() {
    const f = model.field;
    if (!turning) return f;
    const rx = (f.x1 - f.x0) / 2, ry = (f.y1 - f.y0) / 2, rz = (model.depth[1] - model.depth[0]) / 2;
    const ru = Math.abs(m[0]) * rx + Math.abs(m[2]) * rz, rv = Math.abs(m[3]) * rx + Math.abs(m[4]) * ry + Math.abs(m[5]) * rz;
    return { x0: middle[0] - ru, x1: middle[0] + ru, y0: middle[1] - rv, y1: middle[1] + rv };
  }

  function fit() {
    const f = extent();
    const margin = pictures ? 0 : 12;
    view.k = Math.min((width - 2 * margin) / (f.x1 - f.x0), (height - 2 * margin) / (f.y1 - f.y0));
    view.cx = (f.x0 + f.x1) / 2;
    view.cy = (f.y0 + f.y1) / 2;
    view.fitted = true;
    app.redraw("film");
  }

  function zoom(factor, x = width / 2, y = height / 2) {
    const f = extent();
    const least = 0.4 * Math.min(width / (f.x1 - f.x0), height / (f.y1 - f.y0));
    const k = Math.min(Math.max(view.k * factor, least), Math.max(60 / Math.min(...model.meta.scale.slice(-2)), 40 * least, 40 / model.radius));
    view.cx += (x - width / 2) * (1 / view.k - 1 / k);
    view.cy += (y - height / 2) * (1 / view.k - 1 / k);
    view.k = k;
    view.fitted = false;
    app.redraw("film");
  }

  function pan(dx, dy) {
    view.cx -= dx / view.k;
    view.cy -= dy / view.k;
    view.fitted = false;
    app.redraw("film");
  }

  function turn(dx, dy) {
    view.yaw += dx * 0.008;
    view.pitch = Math.min(Math.max(view.pitch + dy * 0.008, -Math.PI / 2), Math.PI / 2);
    turned();
    app.redraw("film");
  }

  function look(plane) {
    [view.yaw, view.pitch] = { xy: [0, 0], xz: [0, Math.PI / 2], yz: [Math.PI / 2, 0] }[plane];
    turned();
    fit();
  }

  function resize() {
    width = Math.max(box.clientWidth, 1);
    height = Math.max(box.clientHeight, 1);
    ratio = Math.min(window.devicePixelRatio || 1, 2);
    for (const c of [canvas, image]) { c.width = Math.round(width * ratio); c.height = Math.round(height * ratio); }
    drawnImage = drawnTheme = "";
    if (view.fitted) fit();
    app.redraw("film");
  }

  // What is in the slab of planes that is looked at

  function slab() {
    const { layer, layers } = app.state;
    if (!layer || !model.z) return null;
    const [a, b] = model.depth;
    return [a + ((b - a) * (layer - 1)) / layers, a + ((b - a) * layer) / layers];
  }

  function rowsShown(t) {
    const planes = slab();
    const rows = [];
    for (let i = model.at[t]; i < model.at[t + 1]; i++) {
      if (!app.visible[model.lineage[i]]) continue;
      if (planes) { const [a, b] = model.reach(i); if (b < planes[0] || a > planes[1]) continue; }
      rows.push(i);
    }
    return rows;
  }

  // Drawing

  function drawImage() {
    const { frame, layer } = app.state;
    if (!pictures) return;
    const bitmap = pictures.get(frame, layer);
    const key = `${bitmap ? pictures.key(frame, layer) : -1} ${view.cx} ${view.cy} ${view.k} ${app.theme}`;
    if (key === drawnImage) return; // only the cells have changed
    if (!bitmap && drawnTheme === app.theme) return; // the picture before stays until this one is decoded
    drawnImage = key;
    drawnTheme = app.theme;
    gi.setTransform(ratio, 0, 0, ratio, 0, 0);
    gi.fillStyle = app.ink.sunk;
    gi.fillRect(0, 0, width, height);
    if (!bitmap) return;
    const f = model.field;
    gi.imageSmoothingEnabled = (view.k * (f.x1 - f.x0)) / bitmap.width < 3;
    gi.drawImage(bitmap, (f.x0 - view.cx) * view.k + width / 2, (f.y0 - view.cy) * view.k + height / 2, (f.x1 - f.x0) * view.k, (f.y1 - f.y0) * view.k);
  }

  function lane(k) {
    while (lanes.length <= k) lanes.push([]);
    return lanes[k];
  }

  function strokeLanes(palette, offset, count, alpha, lineWidth) {
    g.globalAlpha = alpha;
    g.lineWidth = lineWidth;
    for (let k = 0; k < count; k++) {
      const list = lanes[offset + k];
      if (!list || !list.length) continue;
      g.strokeStyle = palette[k];
      g.beginPath();
      for (let j = 0; j < list.length; j += 4) { g.moveTo(list[j], list[j + 1]); g.lineTo(list[j + 2], list[j + 3]); }
      g.stroke();
      list.length = 0;
    }
    g.globalAlpha = 1;
  }

  function drawTails(rows, palette, way, t) {
    const { tail } = app.state;
    if (!tail) return;
    const count = palette.length;
    const done = new Set(); // where two daughters share their mother's way, it is drawn once
    for (const row of rows) {
      const bucket = way.bucket(row);
      let i = row;
      for (;;) {
        const p = model.parent[i];
        if (p < 0 || t - model.frame[p] > tail) break;
        if (done.has(i)) break;
        if (i !== row) done.add(i);
        const age = (t - model.frame[p]) / tail;
        lane((age < 0.34 ? 0 : age < 0.67 ? 1 : 2) * count + bucket).push(sx(i), sy(i), sx(p), sy(p));
        i = p;
      }
    }
    const thick = rows.length > 800 ? 1 : 1.5;
    strokeLanes(palette, 2 * count, count, 0.28, thick);
    strokeLanes(palette, count, count, 0.55, thick);
    strokeLanes(palette, 0, count, 0.9, thick);
  }

  function trace(row) {
    const o = model.outline;
    for (let a = o.of.start[row]; a < o.of.start[row + 1]; a++) {
      const k = o.of.list[a];
      for (let j = o.start[k]; j < o.start[k + 1]; j++) {
        const x = (o.x[j] - view.cx) * view.k + width / 2, y = (o.y[j] - view.cy) * view.k + height / 2;
        if (j === o.start[k]) g.moveTo(x, y); else g.lineTo(x, y);
      }
      g.closePath();
    }
  }

  const outlined = () => model.outline && app.state.outlines;
  const pointRadius = () => Math.min(Math.max((model.outline ? 0.3 : 0.62) * model.radius * view.k, 1.6), model.outline ? 4 : 14);

  function disc(row, extra = 0) {
    const x = sx(row), y = sy(row), r = depthRadius(row) + extra;
    g.moveTo(x + r, y);
    g.arc(x, y, r, 0, 2 * Math.PI);
  }

  function depthRadius(row) {
    const r = pointRadius();
    if (!turning) return r;
    const span = Math.max(model.depth[1] - model.depth[0], model.field.x1 - model.field.x0) / 2;
    return r * (1 + 0.3 * Math.max(-1, Math.min(1, w(row) / span)));
  }

  // Cells whose link is doubtful have dashed outlines as well, so that colour is not all that says so
  const DOUBTFUL = 1000;
  const doubtful = (row) => app.way.name === "confidence" && model.cost[row] > -1.1 && !model.daughter(row);

  function drawCells(rows, palette, way) {
    const groups = new Map();
    for (const row of rows) {
      const x = sx(row), y = sy(row), far = 60 + 3 * model.radius * view.k;
      if (x < -far || y < -far || x > width + far || y > height + far) continue;
      const key = way.bucket(row) + (doubtful(row) ? DOUBTFUL : 0);
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(row);
    }
    const shape = outlined() ? trace : disc;
    g.lineWidth = Math.min(Math.max(0.07 * model.radius * view.k, 1.3), 2.2);
    for (const [key, list] of groups) {
      const bucket = key % DOUBTFUL;
      g.setLineDash(key < DOUBTFUL ? [] : [4, 3]);
      g.beginPath();
      for (const row of list) shape(row);
      if (outlined()) {
        if (app.state.fill) { g.globalAlpha = 0.3; g.fillStyle = palette[bucket]; g.fill(); g.globalAlpha = 1; }
        g.strokeStyle = palette[bucket];
        g.stroke();
      } else {
        g.globalAlpha = turning ? 0.88 : 1;
        g.fillStyle = palette[bucket];
        g.fill();
        g.globalAlpha = 1;
      }
    }
    g.setLineDash([]);
    if (!outlined() && rows.length < 3000 && pointRadius() > 3) { // a rim keeps neighbouring points apart
      g.beginPath();
      for (const row of rows) disc(row);
      g.lineWidth = 0.75;
      g.strokeStyle = app.ground("film") === "dark" ? "rgb(0 0 0 / .55)" : "rgb(255 255 255 / .8)";
      g.stroke();
    }
  }

  function ring(row, halo, colour, thick) {
    for (const [style, size] of [[halo, thick + 2.5], [colour, thick]]) {
      g.beginPath();
      if (outlined() && model.outline.of.start[row] < model.outline.of.start[row + 1]) trace(row); else disc(row, 2.5);
      g.strokeStyle = style;
      g.lineWidth = size;
      g.stroke();
    }
  }

  function drawSelection(rows) {
    const { row, hover } = app.state;
    const dark = app.ground("film") === "dark";
    const [bright, halo] = dark ? ["#fff", "rgb(0 0 0 / .7)"] : ["#14161a", "rgb(255 255 255 / .85)"];
    const here = new Set(rows);
    if (row >= 0) {
      const lineage = model.lineage[row];
      g.lineJoin = "round";
      g.beginPath();
      for (const i of rows) if (model.lineage[i] === lineage && i !== row) { if (outlined()) trace(i); else disc(i, 2); }
      g.strokeStyle = halo;
      g.lineWidth = 3;
      g.stroke();
      g.strokeStyle = bright;
      g.lineWidth = 1.5;
      g.setLineDash([4, 3]);
      g.stroke();
      g.setLineDash([]);
      if (here.has(row)) ring(row, halo, bright, 2.5);
    }
    if (hover >= 0 && hover !== row && here.has(hover)) ring(hover, halo, bright, 1.25);
  }

  function drawMarks(rows) {
    if (!app.state.marks || !model.signAt.size) return;
    const size = 5;
    for (const row of rows) {
      if (!model.signAt.has(row)) continue;
      const x = sx(row), y = sy(row) - (outlined() ? 1.25 * model.radius * view.k : depthRadius(row)) - 6;
      g.beginPath();
      g.moveTo(x, y - size); g.lineTo(x + size, y + size * 0.8); g.lineTo(x - size, y + size * 0.8); g.closePath();
      g.fillStyle = "#ffd23d";
      g.strokeStyle = "#1b1400";
      g.lineWidth = 1.25;
      g.fill();
      g.stroke();
    }
  }

  function drawNumbers(rows) {
    if (!app.state.numbers || rows.length > 1500) return;
    g.font = `600 ${Math.min(Math.max(0.7 * model.radius * view.k, 9), 14)}px system-ui, sans-serif`;
    g.textAlign = "center";
    g.textBaseline = "middle";
    g.lineJoin = "round";
    const dark = app.ground("film") === "dark";
    for (const row of rows) {
      const text = String(model.trackId[model.track[row]]), x = sx(row), y = sy(row) - (outlined() ? 0 : depthRadius(row) + 8);
      if (x < 0 || y < 0 || x > width || y > height) continue;
      g.lineWidth = 3;
      g.strokeStyle = dark ? "rgb(0 0 0 / .75)" : "rgb(255 255 255 / .85)";
      g.strokeText(text, x, y);
      g.fillStyle = dark ? "#fff" : "#14161a";
      g.fillText(text, x, y);
    }
  }

  function drawScale() {
    const goal = (0.22 * Math.min(width, 500)) / view.k;
    const power = 10 ** Math.floor(Math.log10(goal));
    const length = [5, 2, 1].map((s) => s * power).find((s) => s <= goal) || power;
    // inside the picture, where that is in sight
    const f = model.field, dark = app.ground("film") === "dark";
    const edge = pictures ? [(f.x1 - view.cx) * view.k + width / 2, (f.y1 - view.cy) * view.k + height / 2] : [width, height];
    const right = Math.max(Math.min(width, edge[0]) - 16, length * view.k + 16), left = right - length * view.k;
    let y = Math.max(Math.min(height, edge[1]) - 16, 40);
    const [legendRight, legendTop] = app.legendBox;
    if (legendRight > left - 10 && y > legendTop - 10) y = legendTop - 10;
    g.lineCap = "butt";
    for (const [style, size] of [[dark ? "rgb(0 0 0 / .6)" : "rgb(255 255 255 / .8)", 5], [dark ? "#fff" : "#2a2d33", 2.5]]) {
      g.strokeStyle = style;
      g.lineWidth = size;
      g.beginPath();
      g.moveTo(left, y);
      g.lineTo(right, y);
      g.stroke();
    }
    g.font = "500 11px system-ui, sans-serif";
    g.textAlign = "right";
    g.textBaseline = "alphabetic";
    g.lineWidth = 3;
    g.strokeStyle = dark ? "rgb(0 0 0 / .6)" : "rgb(255 255 255 / .8)";
    const text = `${tidy(length)} ${model.unit}`.trim();
    g.strokeText(text, right, y - 6);
    g.fillStyle = dark ? "#fff" : "#2a2d33";
    g.fillText(text, right, y - 6);
  }

  function draw() {
    const t = app.state.frame, way = app.way, palette = way.palette[app.ground("film")];
    const followed = app.state.follow && app.state.row >= 0 && model.frame[app.state.row] === t ? app.state.row : -1;
    if (followed >= 0) { view.cx = u(followed); view.cy = v(followed); view.fitted = false; }
    drawImage();
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.clearRect(0, 0, width, height);
    g.lineJoin = "round";
    g.lineCap = "round";
    if (!pictures) drawField();
    const rows = rowsShown(t);
    if (turning) rows.sort((a, b) => w(a) - w(b));
    drawTails(rows, palette, way, t);
    drawCells(rows, palette, way);
    drawSelection(rows);
    drawMarks(rows);
    drawNumbers(rows);
    drawScale();
    shown = rows;
  }

  // An empty field still shows where it ends
  function drawField() {
    const f = model.field, dark = app.ground("film") === "dark";
    g.strokeStyle = dark ? "rgb(255 255 255 / .16)" : "rgb(0 0 0 / .14)";
    g.lineWidth = 1;
    if (!turning) {
      g.strokeRect((f.x0 - view.cx) * view.k + width / 2, (f.y0 - view.cy) * view.k + height / 2, (f.x1 - f.x0) * view.k, (f.y1 - f.y0) * view.k);
      return;
    }
    const corner = (a, b, c) => {
      const x = (a ? f.x1 : f.x0) - middle[0], y = (b ? f.y1 : f.y0) - middle[1], z = model.depth[c] - middle[2];
      return [(middle[0] + m[0] * x + m[2] * z - view.cx) * view.k + width / 2, (middle[1] + m[3] * x + m[4] * y + m[5] * z - view.cy) * view.k + height / 2];
    };
    g.beginPath();
    for (let k = 0; k < 8; k++) {
      for (const bit of [1, 2, 4]) {
        if (k & bit) continue;
        const o = k | bit;
        g.moveTo(...corner(k & 1, (k >> 1) & 1, (k >> 2) & 1));
        g.lineTo(...corner(o & 1, (o >> 1) & 1, (o >> 2) & 1));
      }
    }
    g.stroke();
  }

  // Finding the cell under the pointer: inside an outline, or the nearest centre that is near

  function inside(row, x, y) {
    const o = model.outline;
    let odd = false;
    for (let a = o.of.start[row]; a < o.of.start[row + 1]; a++) {
      const k = o.of.list[a], from = o.start[k], to = o.start[k + 1];
      for (let j = from, h = to - 1; j < to; h = j++) {
        if (o.y[j] > y !== o.y[h] > y && x < ((o.x[h] - o.x[j]) * (y - o.y[j])) / (o.y[h] - o.y[j]) + o.x[j]) odd = !odd;
      }
    }
    return odd;
  }

  function pick(x, y) {
    let best = -1, least = Math.max(1.2 * pointRadius(), 14) ** 2;
    const wx = (x - width / 2) / view.k + view.cx, wy = (y - height / 2) / view.k + view.cy;
    for (const row of shown) {
      const d = (sx(row) - x) ** 2 + (sy(row) - y) ** 2;
      if (model.outline && !turning && d < (6 * model.radius * view.k + 20) ** 2 && inside(row, wx, wy)) return row;
      if (d < least) { least = d; best = row; }
    }
    return best;
  }

  watchPointers(canvas, {
    pan, zoom,
    turn: turning ? turn : null,
    click: (x, y) => app.select(pick(x, y), { from: "film" }),
    double: (x, y) => { zoom(2, x, y); },
    hover: (x, y) => app.set({ hover: x === null ? -1 : pick(x, y), hoverAt: x === null ? null : [x, y] }),
    wheel: (event, x, y) => zoom(Math.exp(-event.deltaY * (event.deltaMode === 1 ? 0.05 : 0.0016)), x, y),
  });

  function reveal(row) {
    const x = sx(row), y = sy(row), edge = Math.min(40, width / 6, height / 6);
    if (x < edge || y < edge || x > width - edge || y > height - edge) { view.cx = u(row); view.cy = v(row); view.fitted = false; }
    app.redraw("film");
  }

  function adjust() {
    const { bright, invert } = app.state;
    image.style.filter = bright === 100 && !invert ? "" : `brightness(${bright / 100})${invert ? " invert(1)" : ""}`;
  }

  turned();
  return { draw, resize, fit, zoom, pan, turn, look, reveal, adjust, pick, view, turning, middleCell: () => pick(width / 2, height / 2), screen: (row) => [sx(row), sy(row)], shown: () => shown };
}

// Drags, pinches, clicks and the wheel of one canvas, told apart
function watchPointers(canvas, on) {
  const down = new Map();
  let moved = 0, spread = 0, turned = false, lastClick = { time: 0, x: 0, y: 0 };
  const at = (event) => { const r = canvas.getBoundingClientRect(); return [event.clientX - r.left, event.clientY - r.top]; };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    down.set(event.pointerId, at(event));
    if (down.size === 1) { moved = 0; turned = Boolean(on.turn) && (event.shiftKey || event.button === 2); }
    spread = 0;
    if (on.press && down.size === 1) on.press(...at(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = at(event);
    if (!down.has(event.pointerId)) { if (event.pointerType !== "touch") on.hover(x, y); return; }
    const [x0, y0] = down.get(event.pointerId);
    down.set(event.pointerId, [x, y]);
    moved += Math.abs(x - x0) + Math.abs(y - y0);
    if (down.size === 2) {
      const [a, b] = [...down.values()];
      const now = Math.hypot(a[0] - b[0], a[1] - b[1]);
      if (spread) on.zoom(now / spread, (a[0] + b[0]) / 2, (a[1] + b[1]) / 2);
      spread = now;
      on.pan((x - x0) / 2, (y - y0) / 2);
    } else if (moved > 4) {
      canvas.classList.add("moving");
      if (turned) on.turn(x - x0, y - y0); else on.pan(x - x0, y - y0, x, y);
    }
  });
  const release = (event) => {
    if (!down.delete(event.pointerId)) return;
    canvas.classList.remove("moving");
    if (event.type !== "pointerup" || moved > 4 || down.size || event.button === 2) return;
    const [x, y] = at(event);
    const again = event.timeStamp - lastClick.time < 350 && Math.abs(x - lastClick.x) + Math.abs(y - lastClick.y) < 8;
    lastClick = { time: again ? 0 : event.timeStamp, x, y };
    if (again && on.double) on.double(x, y); else on.click(x, y);
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("pointerleave", () => { if (!down.size) on.hover(null, null); });
  canvas.addEventListener("contextmenu", (event) => { if (on.turn) event.preventDefault(); });
  canvas.addEventListener("wheel", (event) => { event.preventDefault(); on.wheel(event, ...at(event)); }, { passive: false });
}
