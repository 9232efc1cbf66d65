// The model: columns opened, tracklets and lineages read off them. Rows are cells, sorted by frame.

const $ = (id) => document.getElementById(id);

function bytesOf(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

async function inflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const KINDS = { u1: Uint8Array, i2: Int16Array, u2: Uint16Array, i4: Int32Array, f4: Float32Array, f8: Float64Array };

// One column: its bytes lie sorted by significance, whole numbers as differences.
function opened(bytes, offset, entry) {
  const Kind = KINDS[entry.kind];
  const size = Kind.BYTES_PER_ELEMENT;
  const n = entry.length;
  const raw = new Uint8Array(n * size);
  for (let b = 0; b < size; b++) {
    const plane = offset + b * n;
    for (let i = 0, at = b; i < n; i++, at += size) raw[at] = bytes[plane + i];
  }
  const values = new Kind(raw.buffer);
  if (entry.delta) for (let i = 1; i < n; i++) values[i] += values[i - 1];
  return values;
}

async function openColumns(entries, text) {
  const bytes = await inflated(bytesOf(text));
  const columns = new Map();
  let offset = 0;
  for (const entry of entries) {
    columns.set(entry.name, { values: opened(bytes, offset, entry), categories: entry.categories || (entry.flag ? ["no", "yes"] : null), flag: Boolean(entry.flag) });
    offset += entry.length * KINDS[entry.kind].BYTES_PER_ELEMENT;
  }
  return columns;
}

// Positions in a list of lists: those of `key` k are list[start[k]] ... list[start[k + 1] - 1], in rising order.
function grouped(keys, count, skip) {
  const start = new Int32Array(count + 1);
  for (let i = 0; i < keys.length; i++) if (keys[i] !== skip) start[keys[i] + 1]++;
  for (let k = 0; k < count; k++) start[k + 1] += start[k];
  const next = start.slice(0, count);
  const list = new Int32Array(start[count]);
  for (let i = 0; i < keys.length; i++) if (keys[i] !== skip) list[next[keys[i]]++] = i;
  return { start, list };
}

// Places 0, 1, 2, ... of numbers in their own order, and the number of every place: a page that shows some lineages has holes in its numbers.
function counted(ids) {
  const place = new Int32Array(ids.reduce((top, id) => Math.max(top, id), 0) + 1);
  for (const id of ids) place[id] = 1;
  const list = [];
  for (let id = 0; id < place.length; id++) if (place[id]) { place[id] = list.length; list.push(id); }
  return [Int32Array.from(ids, (id) => place[id]), list];
}

async function openModel() {
  const meta = JSON.parse($("meta").textContent);
  const columns = await openColumns(meta.columns, $("columns").textContent);
  const values = (name) => (columns.has(name) ? columns.get(name).values : null);
  const frame = values("frame");
  const n = frame.length;
  const model = {
    meta, columns, n, frame, T: meta.frames, dims: meta.axes.length,
    parent: values("parent"), label: values("label"), id: values("id"), generation: values("generation"),
    cost: values("link_cost"), slack: values("slack"),
    x: values("position:x"), y: values("position:y"), z: values("position:z"),
    measured: [...columns.keys()].filter((name) => name.startsWith("measured:")).map((name) => ({ name: name.slice(9), ...columns.get(name) })),
  };
  const technical = (column) => /^(bbox|inertia)_/.test(column.name); // last in every list
  model.measured.sort((a, b) => technical(a) - technical(b));
  [model.track, model.trackId] = counted(values("tracklet_id"));
  [model.lineage, model.lineageId] = counted(values("lineage_id"));
  model.at = grouped(frame, model.T, -1).start;
  model.children = grouped(model.parent, n, -1);
  readTracks(model);
  readLineages(model);
  readOutlines(model, values);
  readField(model);
  readSigns(model);
  model.unit = meta.unit || (meta.shape && meta.scale.every((size) => size === 1) ? "px" : "");
  return model;
}

function readTracks(model) {
  const { n, track, frame, parent } = model;
  let count = 0;
  for (let i = 0; i < n; i++) if (track[i] >= count) count = track[i] + 1;
  const rows = grouped(track, count, -1);
  const tracks = { count, rows, first: new Int32Array(count), last: new Int32Array(count), start: new Int32Array(count), end: new Int32Array(count), parent: new Int32Array(count), lineage: new Int32Array(count) };
  for (let k = 0; k < count; k++) {
    const first = rows.list[rows.start[k]];
    const last = rows.list[rows.start[k + 1] - 1];
    tracks.first[k] = first;
    tracks.last[k] = last;
    tracks.start[k] = frame[first];
    tracks.end[k] = frame[last];
    tracks.parent[k] = parent[first] < 0 ? -1 : track[parent[first]];
    tracks.lineage[k] = model.lineage[first];
  }
  tracks.children = grouped(tracks.parent, count, -1);
  model.tracks = tracks;
  // no frame is missed inside a tracklet, so its cell in a frame is found by counting
  model.cellAt = (k, t) => (t < tracks.start[k] || t > tracks.end[k] ? -1 : rows.list[rows.start[k] + t - tracks.start[k]]);
  model.nChildren = (k) => tracks.children.start[k + 1] - tracks.children.start[k];
  model.childrenOf = (k) => Array.from(tracks.children.list.subarray(tracks.children.start[k], tracks.children.start[k + 1]));
  model.daughter = (row) => parent[row] >= 0 && model.nChildren(track[parent[row]]) > 1 && track[parent[row]] !== track[row];
  model.fate = (k) => (model.nChildren(k) > 1 ? "divides" : model.nChildren(k) === 1 ? "is missed, then goes on" : tracks.end[k] === model.T - 1 ? "is there when the film ends" : "is lost, leaves or dies");
  model.divisions = [];
  for (let k = 0; k < count; k++) if (model.nChildren(k) > 1) model.divisions.push(k);
  model.divisions.sort((a, b) => tracks.end[a] - tracks.end[b] || a - b);
}

function readLineages(model) {
  const { tracks } = model;
  let count = 0;
  for (let k = 0; k < tracks.count; k++) if (tracks.lineage[k] >= count) count = tracks.lineage[k] + 1;
  const lineages = { count, tracks: grouped(tracks.lineage, count, -1), cells: new Int32Array(count), start: new Int32Array(count).fill(model.T), end: new Int32Array(count), divisions: new Int32Array(count), signs: new Int32Array(count) };
  for (let k = 0; k < tracks.count; k++) {
    const l = tracks.lineage[k];
    lineages.cells[l] += tracks.rows.start[k + 1] - tracks.rows.start[k];
    lineages.start[l] = Math.min(lineages.start[l], tracks.start[k]);
    lineages.end[l] = Math.max(lineages.end[l], tracks.end[k]);
    if (model.nChildren(k) > 1) lineages.divisions[l]++;
  }
  model.lineages = lineages;
  model.lengthOf = (l) => lineages.end[l] - lineages.start[l] + 1;
}

function readOutlines(model, values) {
  const row = values("outline:row");
  if (!row) return;
  const { meta } = model;
  const sy = meta.scale[meta.scale.length - 2] / meta.fineness;
  const sx = meta.scale[meta.scale.length - 1] / meta.fineness;
  const length = values("outline:length");
  const start = new Int32Array(length.length + 1);
  for (let k = 0; k < length.length; k++) start[k + 1] = start[k] + length[k];
  model.outline = { of: grouped(row, model.n, -1), start, y: Float32Array.from(values("outline:y"), (v) => v * sy), x: Float32Array.from(values("outline:x"), (v) => v * sx) };
}

const median = (list) => (list.length ? list.sort((a, b) => a - b)[list.length >> 1] : null);
const sample = (count, most) => Array.from({ length: Math.min(count, most) }, (_, k) => Math.floor((k * count) / Math.min(count, most)));

// How large a cell is about: by its outline, or by its area
function seenRadius(model) {
  const o = model.outline;
  if (!o) return null;
  return median(sample(o.start.length - 1, 400).map((k) => {
    let x0 = Infinity, x1 = -Infinity, y0 = Infinity, y1 = -Infinity;
    for (let j = o.start[k]; j < o.start[k + 1]; j++) { x0 = Math.min(x0, o.x[j]); x1 = Math.max(x1, o.x[j]); y0 = Math.min(y0, o.y[j]); y1 = Math.max(y1, o.y[j]); }
    return Math.sqrt((x1 - x0) * (y1 - y0)) / 2;
  }));
}

function measuredRadius(model) {
  const area = model.measured.find((column) => column.name === "area" && !column.categories);
  if (!area || model.dims === 3) return null;
  return median(sample(model.n, 999).map((i) => Math.sqrt(area.values[i] / Math.PI)).filter((r) => r > 0));
}

// The field of view in physical units, and how large a cell is about.
function readField(model) {
  const { meta, n } = model;
  const [sy, sx] = meta.scale.slice(-2);
  if (meta.shape) {
    const [h, w] = meta.shape.slice(-2);
    model.field = { x0: -0.5 * sx, y0: -0.5 * sy, x1: (w - 0.5) * sx, y1: (h - 0.5) * sy };
  } else {
    const f = { x0: Infinity, y0: Infinity, x1: -Infinity, y1: -Infinity };
    for (let i = 0; i < n; i++) {
      f.x0 = Math.min(f.x0, model.x[i]); f.x1 = Math.max(f.x1, model.x[i]);
      f.y0 = Math.min(f.y0, model.y[i]); f.y1 = Math.max(f.y1, model.y[i]);
    }
    model.field = n ? f : { x0: 0, y0: 0, x1: 100, y1: 100 };
  }
  const f = model.field;
  const spacing = Math.sqrt(((f.x1 - f.x0 || 1) * (f.y1 - f.y0 || 1)) / Math.max(n / Math.max(model.T, 1), 1));
  model.radius = Math.max(seenRadius(model) ?? Math.min(measuredRadius(model) ?? 0.2 * spacing, 0.5 * spacing), 1e-9);
  if (!meta.shape) {
    const margin = 1.5 * model.radius;
    f.x0 -= margin; f.y0 -= margin; f.x1 += margin; f.y1 += margin;
  }
  if (model.z) {
    let low = Infinity, high = -Infinity;
    for (let i = 0; i < n; i++) { low = Math.min(low, model.z[i]); high = Math.max(high, model.z[i]); }
    const sz = meta.scale[0];
    model.depth = meta.shape ? [-0.5 * sz, (meta.shape[0] - 0.5) * sz] : n ? [low, high] : [0, 1];
    const column = (name) => model.measured.find((c) => c.name === name)?.values;
    const from = column("bbox_min_z"), to = column("bbox_max_z");
    model.reach = (i) => (from && to ? [(from[i] - 0.5) * sz, (to[i] - 0.5) * sz] : [model.z[i] - 0.5 * model.radius, model.z[i] + 0.5 * model.radius]);
  }
}

function readSigns(model) {
  model.signs = (model.meta.signs || []).map((sign, k) => ({ ...sign, rank: k + 1 }));
  model.signAt = new Map();
  for (const sign of model.signs) {
    if (sign.row < 0) continue;
    model.lineages.signs[model.lineage[sign.row]]++;
    if (!model.signAt.has(sign.row)) model.signAt.set(sign.row, sign);
  }
}

// Words

const plural = (count, word) => `${count.toLocaleString("en")} ${count === 1 ? word : word.endsWith("s") || word.endsWith("h") ? word : word + "s"}`;

function tidy(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (Number.isInteger(value) && Math.abs(value) < 1e9) return value.toLocaleString("en").replace("-", "−");
  const size = Math.abs(value);
  if (size >= 1000 && size < 1e9) return value.toLocaleString("en", { maximumFractionDigits: 1 }).replace("-", "−");
  const text = size >= 1e9 || size < 1e-3 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
  return text.replace("-", "−");
}

function duration(seconds) {
  const parts = [];
  const total = Math.round(seconds);
  const days = Math.floor(total / 86400), hours = Math.floor(total / 3600) % 24, minutes = Math.floor(total / 60) % 60;
  if (days) parts.push(`${days} d`);
  if (hours || days) parts.push(`${hours} h`);
  if ((minutes || !parts.length) && total >= 60 && !days) parts.push(`${minutes} min`);
  if (total < 600 && (total % 60 || total < 60)) parts.push(`${total < 10 ? Number(seconds.toPrecision(2)) : total % 60} s`);
  return parts.join(" ");
}

const likely = (cost) => {
  const p = 100 / (1 + Math.exp(cost));
  return p > 99.95 ? "> 99.9 %" : p < 0.05 ? "< 0.1 %" : `${p.toFixed(1)} %`;
};
