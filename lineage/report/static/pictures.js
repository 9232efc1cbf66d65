// Pictures: the frames of the film, decoded when they are wanted and kept as long as there is room.

function openPictures(model, onReady) {
  const elements = document.querySelectorAll("script.picture");
  const about = model.meta.pictures;
  if (!about || !elements.length) return null;
  const each = 1 + about.layers;
  const room = Math.max(8 * each, Math.floor(192e6 / (4 * about.size[0] * about.size[1])));
  const kept = new Map(); // key -> bitmap, the one used longest ago first
  const coming = new Map();

  async function decode(key) {
    const blob = new Blob([bytesOf(elements[key].textContent)], { type: about.format });
    const bitmap = await createImageBitmap(blob);
    coming.delete(key);
    kept.set(key, bitmap);
    while (kept.size > room) {
      const [oldest, old] = kept.entries().next().value;
      kept.delete(oldest);
      old.close();
    }
    onReady(key);
    return bitmap;
  }

  const place = (t, layer) => Math.min(Math.floor(t / about.every), elements.length / each - 1) * each + layer;
  return {
    layers: about.layers,
    size: about.size,
    pictured: (t) => Math.floor(t / about.every) * about.every, // the frame that is seen while the cells are those of frame t
    key: place,
    // the picture if it is there; otherwise it is sent for
    get(t, layer) {
      const key = place(t, layer);
      const bitmap = kept.get(key);
      if (bitmap) { kept.delete(key); kept.set(key, bitmap); return bitmap; }
      if (!coming.has(key)) coming.set(key, decode(key));
      return null;
    },
    async load(t, layer) {
      const key = place(t, layer);
      return kept.get(key) || coming.get(key) || (coming.set(key, decode(key)), coming.get(key));
    },
  };
}
