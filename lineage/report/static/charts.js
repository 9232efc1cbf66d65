// Charts: counts over time and histograms, drawn by uPlot.

function chart(app, host, { x, series, xLabel, bars = false, step = 1, height = 150, onFrame = null, title, words }) {
  const figure = element("figure", { class: "chart" }, element("figcaption", {}, title, words ? element("span", {}, words) : null));
  const place = element("div", { role: "img", "aria-label": `${title}. ${words || ""}` });
  figure.append(place);
  host.append(figure);
  let plot = null;
  const colours = () => [app.ink.accent, app.ink.second, app.ink.weak];
  const paths = bars ? uPlot.paths.bars({ size: [0.86, 60], gap: 1 }) : undefined;
  function build() {
    const width = place.clientWidth || host.clientWidth;
    if (plot) plot.destroy();
    plot = null;
    if (width < 40) return;
    const axis = { stroke: () => app.ink.weak, font: "11px system-ui, sans-serif", grid: { stroke: () => app.ink.line, width: 1 }, ticks: { stroke: () => app.ink.line, size: 4 } };
    const low = x.length ? x[0] : 0, high = x.length ? x[x.length - 1] : 1;
    const pad = bars ? step / 2 : 0;
    plot = new uPlot({
      width, height,
      padding: [8, 10, 0, 0],
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { size: 6 }, y: false },
      scales: { x: { time: false, range: [low - pad, Math.max(high + pad, low - pad + 1e-9)] }, y: { range: (_, min, max) => [0, max > 0 ? max * 1.06 : 1] } },
      axes: [{ ...axis, size: 30, label: xLabel, labelSize: 16, labelFont: "11px system-ui, sans-serif", gap: 3 }, { ...axis, size: 42, gap: 3, space: 24, incrs: bars || series.every((s) => s.whole) ? [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000] : undefined }],
      series: [{}, ...series.map((s, k) => ({ label: s.label, stroke: () => colours()[k], fill: bars ? () => colours()[k] : s.area ? () => app.ink.wash : undefined, width: bars ? 0 : 1.75, paths: s.bars ? uPlot.paths.bars({ size: [0.9, 12] }) : paths, dash: s.dash, points: { show: false } }))],
      hooks: {
        setCursor: [(u) => { place.title = u.cursor.idx === null || u.cursor.idx === undefined ? "" : `${xLabel} ${tidy(x[u.cursor.idx])}: ${series.map((s) => `${tidy(s.values[u.cursor.idx])} ${s.label}`).join(", ")}`; }],
        draw: onFrame ? [(u) => {
          const at = u.valToPos(app.state.frame, "x", true);
          u.ctx.fillStyle = app.ink.strong;
          u.ctx.globalAlpha = 0.5;
          u.ctx.fillRect(at - 0.75, u.bbox.top, 1.5, u.bbox.height);
          u.ctx.globalAlpha = 1;
        }] : [],
      },
    }, [x, ...series.map((s) => s.values)], place);
    if (onFrame) { plot.over.style.cursor = "pointer"; plot.over.addEventListener("click", () => { if (plot.cursor.idx !== null && plot.cursor.idx !== undefined) onFrame(x[plot.cursor.idx]); }); }
  }
  return { build, redraw: () => { if (plot) plot.redraw(false, true); }, timed: Boolean(onFrame) };
}

function histogram(values, { whole = false, most = 28 } = {}) {
  const good = values.filter(Number.isFinite).sort((a, b) => a - b);
  if (!good.length) return null;
  const low = whole ? good[0] : 0, high = whole ? good[good.length - 1] : good[Math.ceil(0.995 * (good.length - 1))];
  let step = whole ? Math.max(1, Math.ceil((high - low + 1) / most)) : high / most || 1;
  const count = whole ? Math.floor((high - low) / step) + 1 : most;
  const bins = new Array(count).fill(0);
  for (const v of good) bins[Math.min(Math.floor((v - low) / step), count - 1)]++;
  const at = (part) => good[Math.round(part * (good.length - 1))];
  return { x: bins.map((_, k) => low + k * step + (whole ? (step - 1) / 2 : step / 2)), bins, step, median: at(0.5), low: at(0.05), high: at(0.95), count: good.length };
}

// What the summary counts; everything is worked out once
function statistics(model) {
  const { n, T, tracks } = model;
  const cells = Array.from({ length: T }, (_, t) => model.at[t + 1] - model.at[t]);
  const divisions = new Array(T).fill(0);
  for (const c of model.divisions) divisions[tracks.end[c]]++;
  const steps = [];
  let bridged = 0;
  for (let i = 0; i < n; i++) {
    const p = model.parent[i];
    if (p >= 0 && model.frame[i] - model.frame[p] > 1) bridged++;
    if (p < 0 || model.frame[i] - model.frame[p] !== 1 || model.track[p] !== model.track[i]) continue;
    steps.push(Math.hypot(model.x[i] - model.x[p], model.y[i] - model.y[p], model.z ? model.z[i] - model.z[p] : 0));
  }
  const f = model.field;
  const far = steps.length ? [...steps].sort((a, b) => a - b)[Math.floor(0.95 * (steps.length - 1))] : 0;
  const margin = Math.max(far, 1.5 * model.radius);
  const inside = (i) => model.x[i] - f.x0 > margin && f.x1 - model.x[i] > margin && model.y[i] - f.y0 > margin && f.y1 - model.y[i] > margin;
  const appear = new Array(T).fill(0), vanish = new Array(T).fill(0);
  const lives = [], lengths = [];
  for (let c = 0; c < tracks.count; c++) {
    lengths.push(tracks.end[c] - tracks.start[c] + 1);
    if (tracks.parent[c] < 0 && tracks.start[c] > 0 && inside(tracks.first[c])) appear[tracks.start[c]]++;
    if (!model.nChildren(c) && tracks.end[c] < T - 1 && inside(tracks.last[c])) vanish[tracks.end[c]]++;
    // from birth by a division to the next division, missed frames bridged
    if (model.nChildren(c) > 1) {
      let a = c;
      while (tracks.parent[a] >= 0 && model.nChildren(tracks.parent[a]) === 1) a = tracks.parent[a];
      if (tracks.parent[a] >= 0) lives.push(tracks.end[c] - tracks.start[a] + 1);
    }
  }
  const total = (list) => list.reduce((sum, v) => sum + v, 0);
  return { cells, divisions, bridged, steps, lengths, lives, appear, vanish, appeared: total(appear), vanished: total(vanish), margin };
}
