// Colours: what they stand for, and which ones can be told apart by all kinds of colour vision, on dark and on light ground.

// Okabe and Ito's colours (2008) without yellow and black, as in the figures of the package; then lighter and darker ones.
const BASE = [[230, 159, 0], [58, 142, 214], [0, 158, 115], [213, 94, 0], [204, 121, 167], [86, 180, 233]];
const ROUNDS = 3;
const SEQUENCE = [[43, 98, 201], [104, 130, 196], [160, 150, 158], [206, 152, 88], [238, 154, 20]]; // low to high; blue and orange, lighter as they rise
const STEPS = 32;

const css = (c) => `rgb(${c.map(Math.round).join(" ")})`;
const mix = (a, b, part) => a.map((v, k) => v * (1 - part) + b[k] * part);

function shaded(ground) {
  const rounds = ground === "dark"
    ? [(c) => mix(c, [255, 255, 255], 0.16), (c) => mix(c, [255, 255, 255], 0.45), (c) => mix(c, [90, 90, 100], 0.28)]
    : [(c) => mix(c, [0, 0, 0], 0.1), (c) => mix(mix(c, [0, 0, 0], 0.1), [255, 255, 255], 0.3), (c) => mix(c, [0, 0, 0], 0.42)];
  return rounds.flatMap((shade) => BASE.map((c) => css(shade(c))));
}

function sequence(part) {
  const at = part * (SEQUENCE.length - 1);
  const k = Math.min(Math.floor(at), SEQUENCE.length - 2);
  return mix(SEQUENCE[k], SEQUENCE[k + 1], at - k);
}

const GREY = { dark: "rgb(150 154 162)", light: "rgb(138 142 150)" };
const CATEGORIES = { dark: [...shaded("dark"), GREY.dark], light: [...shaded("light"), GREY.light] };
const numbers = (ground) => [...Array.from({ length: STEPS }, (_, k) => css(mix(sequence(k / (STEPS - 1)), ground === "dark" ? [255, 255, 255] : [0, 0, 0], ground === "dark" ? 0.12 : 0.04))), GREY[ground]];
const NUMBERS = { dark: numbers("dark"), light: numbers("light") };
const N_CATEGORIES = BASE.length * ROUNDS;

// A way of colouring: bucket(row) is a place in palette[ground]; trackwise ones are the same all along a tracklet.
function category(name, title, key, { trackwise = true, legend = null } = {}) {
  return { name, title, trackwise, palette: CATEGORIES, bucket: (row) => { const k = key(row); return k < 0 ? N_CATEGORIES : k % N_CATEGORIES; }, legend };
}

function measure(name, title, value, n, { low, high, text = tidy, flip = false, missing = "" } = {}) {
  if (low === undefined) [low, high] = range(value, n);
  const span = high - low || 1;
  const bucket = (row) => {
    const v = value(row);
    if (!(v === v) || v === null) return STEPS;
    const part = Math.min(Math.max((v - low) / span, 0), 1);
    return Math.min(Math.floor((flip ? 1 - part : part) * STEPS), STEPS - 1);
  };
  return { name, title, trackwise: false, palette: NUMBERS, bucket, scale: { low, high, text, flip, missing } };
}

// From the 1st to the 99th percentile of a sample: single odd values do not spoil the scale.
function range(value, n) {
  const some = [];
  const step = Math.max(1, Math.floor(n / 5000));
  for (let i = 0; i < n; i += step) { const v = value(i); if (Number.isFinite(v)) some.push(v); }
  some.sort((a, b) => a - b);
  if (!some.length) return [0, 1];
  return [some[Math.floor(0.01 * (some.length - 1))], some[Math.ceil(0.99 * (some.length - 1))]];
}

function colourings(model) {
  const { n } = model;
  const ways = [
    category("lineage", "Lineage", (row) => model.lineageId[model.lineage[row]] - 1),
    category("generation", "Generation", (row) => model.generation[row], { legend: generationLegend(model) }),
    category("tracklet", "Tracklet", (row) => model.track[row]),
  ];
  if (model.cost && model.cost.some((v) => v === v)) {
    // a link to a daughter was judged together with her sister's and with the division: alone, its cost says little
    const believed = (row) => (model.daughter(row) ? NaN : 1 / (1 + Math.exp(model.cost[row])));
    ways.push(measure("confidence", "Confidence of link", believed, n, { low: 0.5, high: 1, text: (v) => `${Math.round(100 * v)} %`, flip: true, missing: "first, or daughter" }));
    ways.push(measure("link_cost", "Link cost (nats)", (row) => model.cost[row], n));
  }
  if (model.slack) ways.push(measure("slack", "Margin of detection (nats)", (row) => (Number.isFinite(model.slack[row]) ? model.slack[row] : NaN), n, { flip: true }));
  for (const column of model.measured) {
    if (column.flag) ways.push(category(`measured:${column.name}`, column.name, (row) => column.values[row], { trackwise: false, legend: [[0, "no"], [1, "yes"]] }));
    else if (column.categories) ways.push(category(`measured:${column.name}`, column.name, (row) => (column.categories[column.values[row]] === "" ? -1 : column.values[row]), { trackwise: false, legend: column.categories.length <= 12 ? column.categories.map((text, k) => [k, text]).filter(([, text]) => text !== "") : null }));
    else ways.push(measure(`measured:${column.name}`, column.name, (row) => column.values[row], n));
  }
  if (model.z) ways.push(measure("depth", "Depth z", (row) => model.z[row], n));
  return ways;
}

function generationLegend(model) {
  let top = 0;
  for (let i = 0; i < model.n; i++) top = Math.max(top, model.generation[i]);
  return top < 12 ? Array.from({ length: top + 1 }, (_, k) => [k, String(k)]) : null;
}
