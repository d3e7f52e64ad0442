// Every layer's feature maps as pictures, and pointing at a pixel of one.

const GAP = 6;
const LABEL = 18; // above a map that stands for a class

class Maps {
  /** Call `point(place)` and `hold(place)` for {stage, channel, row, column}. */
  constructor(point, hold) {
    Object.assign(this, { point, hold, rows: [], inspector: byId("inspector") });
    this.observer = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        const row = this.rows.find(({ canvas }) => canvas === target);
        if (row) row.visible = isIntersecting;
      }
      this.changed?.();
    }, { rootMargin: "200px" });
  }

  /** Make a row for each layer of a network. */
  load(network, changed) {
    this.observer.disconnect();
    document.querySelector(".stack").append(this.inspector); // it may stand in a layer that leaves
    this.changed = changed;
    this.rows = stagesOf(network).map((stage) => this.row(network, stage));
    byId("maps").replaceChildren(...this.rows.map(({ item }) => item));
    for (const { canvas } of this.rows) this.observer.observe(canvas);
  }

  row(network, stage) {
    const [channels, height, width] = mapShape(stage.shape);
    const reach = network.fieldOf(stage.shown, Math.floor(height / 2), Math.floor(width / 2));
    const name = `${stage.index + 1}. ${stage.title}`;
    const canvas = make("canvas", {
      tabIndex: 0,
      role: "application",
      "aria-label": `Layer ${name}: ${counted(channels, "map")} of ${height}×${width}`,
      "aria-describedby": "layers-hint",
    });
    const scale = make("span", { className: "scale" });
    const facts = [
      `${channels} × ${height}×${width}`,
      stage.parameters ? counted(stage.parameters, "parameter") : "no parameters",
      `each pixel sees ${reach.bottom - reach.top}×${reach.right - reach.left}`,
    ];
    const head = make(
      "div",
      { className: "facts" },
      make("h3", { textContent: stage.last ? `${name}: the ten scores` : name }),
      ...facts.map((textContent) => make("span", { textContent })),
      scale,
    );
    const item = make("li", {}, head, canvas);
    const row = { stage, canvas, item, scale, channels, height, width, visible: false, at: null, pixels: null };
    this.listen(row);
    return row;
  }

  listen(row) {
    const { canvas, stage } = row;
    const place = (event) => {
      const box = canvas.getBoundingClientRect();
      const found = placeAt(layoutOf(row), event.clientX - box.left, event.clientY - box.top, row);
      return found && { stage, ...found };
    };
    canvas.addEventListener("pointermove", (event) => {
      const found = event.pointerType !== "touch" && place(event);
      if (found) this.point(found);
    });
    canvas.addEventListener("click", (event) => {
      const found = place(event);
      if (found) this.hold((row.at = found));
    });
    canvas.addEventListener("focus", () => {
      if (!canvas.matches(":focus-visible")) return;
      row.at ??= { stage, channel: 0, row: Math.floor(row.height / 2), column: Math.floor(row.width / 2) };
      this.point(row.at, true);
    });
    canvas.addEventListener("keydown", (event) => this.key(event, row));
  }

  key(event, row) {
    const moves = { ArrowLeft: [0, 0, -1], ArrowRight: [0, 0, 1], ArrowUp: [0, -1, 0], ArrowDown: [0, 1, 0], PageUp: [-1, 0, 0], PageDown: [1, 0, 0] };
    const move = moves[event.key];
    if (!move || !row.at) return;
    event.preventDefault();
    const within = (value, size) => Math.min(Math.max(value, 0), size - 1);
    row.at = {
      stage: row.stage,
      channel: within(row.at.channel + move[0], row.channels),
      row: within(row.at.row + move[1], row.height),
      column: within(row.at.column + move[2], row.width),
    };
    this.point(row.at, true);
  }

  /** Paint the maps of the layers on the screen; `place` is the pixel pointed at, `sources` boxes it is made of. */
  render(values, place, sources) {
    const layouts = this.rows.map(layoutOf); // before anything changes, so that the browser lays out once
    for (const [index, row] of this.rows.entries()) {
      const layout = layouts[index];
      const tall = `${layout.height}px`;
      if (row.canvas.style.height !== tall) row.canvas.style.height = tall;
      if (!row.visible) continue;
      const own = place?.stage === row.stage ? [place] : [];
      const boxes = own.map(({ channel, row: top, column: left }) => ({ channel, top, left, bottom: top + 1, right: left + 1 }));
      boxes.push(...sources.filter(({ input }) => row.stage.names.has(input)));
      this.paint(row, layout, values?.[row.stage.shown].values, boxes);
    }
  }

  /** Where the inspector does not fit beside the maps, put it below the layer that is pointed at. */
  carry(place) {
    const beside = matchMedia("(min-width: 60.01rem)").matches;
    const row = !beside && place && this.rows.find(({ stage }) => stage === place.stage);
    const home = row ? row.item : document.querySelector(".stack");
    if (this.inspector.parentElement === home) return;
    const before = row?.canvas.getBoundingClientRect().top;
    home.append(this.inspector);
    // What was tapped stays where it is, though the inspector may have left a layer above it.
    if (row) scrollBy(0, row.canvas.getBoundingClientRect().top - before);
  }

  /** Return the middle of a map's pixel in its layer's canvas. */
  middleOf(layer, channel, row, column) {
    const layout = layoutOf(this.rows[layer]);
    const [left, top] = cornerOf(layout, channel);
    return [left + (column + 0.5) * layout.size, top + (row + 0.5) * layout.size];
  }

  paint(row, layout, values, boxes) {
    const { canvas, channels, height, width } = row;
    const context = crisp(canvas, layout.total, layout.height);
    context.clearRect(0, 0, layout.total, layout.height);
    context.imageSmoothingEnabled = false;
    const most = values ? largest(values) : 1;
    const orange = values?.some((value) => value < 0) ? ", orange below 0" : "";
    setText(row.scale, values ? `black 0, white ${decimal(most)}${orange}` : "");
    // The values of a layer are an image already: its maps below each other.
    row.pixels ??= new ImageData(width, height * channels);
    for (let at = 0; at < channels * height * width; at++) paintValue(row.pixels.data, at, values ? values[at] / most : 0);
    row.strip ??= make("canvas", { width, height: height * channels });
    row.strip.getContext("2d").putImageData(row.pixels, 0, 0);
    for (let channel = 0; channel < channels; channel++) {
      const [x, y] = cornerOf(layout, channel);
      context.drawImage(row.strip, 0, channel * height, width, height, x, y, width * layout.size, height * layout.size);
      if (row.stage.last) paintClass(context, channel, x, y, layout.cell);
    }
    for (const box of boxes) outline(context, box, ...cornerOf(layout, box.channel), layout.size);
  }
}

/** Paint the name of a class above its number, and a frame: a white number is not seen on a white page. */
function paintClass(context, klass, x, y, size) {
  context.strokeStyle = colourOf("line");
  context.lineWidth = 1;
  context.strokeRect(x + 0.5, y + 0.5, size - 1, size - 1);
  context.fillStyle = colourOf("text");
  context.font = "600 13px system-ui, sans-serif";
  context.textAlign = "center";
  context.fillText(klass, x + size / 2, y - 5);
}

/** Return how a layer's maps lie in its canvas: rows of equal length, as large as fits, in whole pixels of the screen. */
function layoutOf({ canvas, channels, height, width, stage }) {
  const total = canvas.clientWidth || 300;
  const wanted = (total > 560 ? 84 : 56) * (width >= 20 ? 1 : 0.72);
  const most = Math.max(1, Math.floor((total + GAP) / (wanted + GAP)));
  const columns = Math.ceil(channels / Math.ceil(channels / most));
  const room = Math.min((total + GAP) / columns - GAP, 1.4 * wanted, 36 * width);
  const ratio = window.devicePixelRatio || 1;
  const size = Math.max(1, Math.floor((room * ratio) / width)) / ratio;
  const cell = size * width;
  const label = stage.last ? LABEL : 0;
  const down = size * height + GAP + label;
  return { total, size, cell, columns, label, step: cell + GAP, down, height: Math.ceil(channels / columns) * down - GAP };
}

/** Return the corner of a map in its canvas. */
function cornerOf({ columns, step, down, label }, channel) {
  return [(channel % columns) * step, Math.floor(channel / columns) * down + label];
}

/** Return the pixel of a map at a position of the canvas, or null. */
function placeAt(layout, x, y, { channels, height, width }) {
  const across = Math.floor(x / layout.step);
  const channel = Math.floor(y / layout.down) * layout.columns + across;
  if (across >= layout.columns || channel >= channels || channel < 0) return null;
  const [left, top] = cornerOf(layout, channel);
  const row = Math.floor((y - top) / layout.size);
  const column = Math.floor((x - left) / layout.size);
  return row >= 0 && column >= 0 && row < height && column < width ? { channel, row, column } : null;
}
