// The page: what it shows at the moment, and one frame that brings everything up to date.

const QUICK_MS = 6; // a frame of drawing that took longer leaves the other networks to the next
const LONG_MS = 40; // for them, of any other frame
const ANNOUNCE_MS = 700;

class App {
  constructor(networks) {
    this.networks = networks;
    this.reader = new Reader(networks);
    this.beside = new Beside();
    this.state = { network: 0, epoch: undefined, selected: 0, pointed: null, pinned: null, place: null, held: false };
    this.digits = [];
    this.evidence = { key: null, values: null };
    this.inkChanged = true;
    this.frame = null;
    this.frames = []; // [milliseconds, readings] of the last frames
    this.drawing = new Drawing(() => this.refresh(true));
    this.inspector = new Inspector();
    this.answer = new Answer({
      select: (index) => this.set({ selected: index }),
      point: (klass) => this.set({ pointed: klass }),
      pin: (klass) => this.set({ pinned: this.state.pinned === klass ? null : klass }),
    });
    this.comparison = new Comparison(networks, (index) => this.choose(index));
    this.film = new Film((epoch) => this.set({ epoch }));
    this.maps = new Maps((place, byKey) => this.point(place, byKey), (place) => this.hold(place));
    this.listen();
    this.choose(0);
  }

  get network() {
    return this.networks[this.state.network];
  }

  listen() {
    const canvas = byId("drawing");
    const begun = () => this.begin();
    this.pen = new KeyboardPen(canvas, this.drawing, {
      begun,
      lifted: () => (this.said = null),
      changed: () => this.refresh(),
    });
    drawWithPointer(canvas, this.drawing, begun);
    takePictures((bitmap) => this.showPicture(bitmap), (text) => setText(byId("message"), text));
    followTheme(() => this.refresh());
    byId("undo").addEventListener("click", () => this.begin(() => this.drawing.undo()));
    byId("clear").addEventListener("click", () => this.begin(() => this.drawing.clear()));
    byId("example").addEventListener("click", () => this.example());
    for (const radio of document.querySelectorAll("input[name=pen]")) {
      radio.addEventListener("change", () => (this.drawing.pen = radio.value));
    }
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.set({ pinned: null, held: false });
      if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey) && !event.shiftKey) {
        event.preventDefault();
        this.begin(() => this.pen.undo());
      }
    });
    new ResizeObserver(() => this.refresh()).observe(document.body);
  }

  /** Stop the demonstration and forget what was said; then do something. */
  begin(action = () => {}) {
    this.stop?.();
    this.stop = null;
    setText(byId("message"), "");
    action();
  }

  example() {
    this.examples = ((this.examples ?? -1) + 1) % EXAMPLES.length;
    this.begin(() => (this.stop = demonstrate(this.drawing, EXAMPLES[this.examples])));
  }

  showPicture(bitmap) {
    this.begin();
    this.state.selected = 0;
    this.drawing.show(bitmap);
  }

  choose(index) {
    Object.assign(this.state, { network: index, epoch: undefined, place: null, held: false });
    this.comparison.check(index);
    this.film.load(this.network);
    this.maps.load(this.network, () => this.refresh());
    setText(byId("origin"), originOf(this.networks));
    setText(byId("claim"), `${grouped(this.network.description.parameters)} numbers read your handwriting. See how.`);
    this.refresh();
  }

  set(change) {
    Object.assign(this.state, change);
    this.refresh();
  }

  point(place, byKey = false) {
    if (this.state.held && !byKey) return;
    this.inspector.reset();
    this.set({ place, held: false });
    if (byKey && this.digits.length) {
      const { stage, channel, row, column } = place;
      const [, height, width] = mapShape(stage.shape);
      const value = this.values[stage.shown].values[(channel * height + row) * width + column];
      announce(`Map ${channel + 1}, row ${row + 1}, column ${column + 1}: ${decimal(value)}`);
    }
  }

  hold(place) {
    const same = this.state.held && JSON.stringify(place) === JSON.stringify(this.state.place);
    this.inspector.reset();
    this.set({ place, held: !same });
  }

  /** Bring the page up to date in the next frame; a frame reads the drawing at most once. */
  refresh(inkChanged = false) {
    this.inkChanged ||= inkChanged;
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      const started = performance.now();
      const passes = this.reader.passes;
      this.show(started);
      this.frames.push([performance.now() - started, this.reader.passes - passes]);
      if (this.frames.length > 2000) this.frames.shift();
    });
  }

  show(started) {
    const { state, reader, drawing } = this;
    const busy = this.inkChanged;
    if (busy) {
      const before = this.digits;
      this.beside.attend(drawing.picture, this.network, () => this.refresh(true));
      this.digits = reader.find(drawing, this.network);
      if (before !== this.digits) this.follow();
      this.inkChanged = false;
    }
    const { digits } = this;
    state.selected = Math.max(0, Math.min(state.selected, digits.length - 1));
    const digit = digits[state.selected];
    this.run(digit);
    const results = digits.map((each) => reader.result(each, state.network, state.epoch));
    results.forEach((result, index) => (digits[index].text = result.text));
    paintPaper(byId("drawing"), drawing, digits, state.selected, this.pen.visible ? this.pen : null);
    this.showDetail(digit, results, busy);
    this.showWaiting();
    this.film.render(this.network, state.epoch, digits.length ? readLines(digits, results).join(" ") : "");
    this.compare(busy ? started : Infinity, results);
    this.announceLater(digits.length ? readLines(digits, results).join(", ") : "");
  }

  /** Say whether a picture is being read; a photograph of a page takes a while. */
  showWaiting() {
    const { waiting } = this.drawing;
    if (waiting && byId("waiting").hidden) announce("Reading the picture");
    byId("waiting").hidden = !waiting;
    if (waiting) setText(byId("certainty"), "Reading the picture…");
  }

  /** Compute all the maps of a digit, unless they are those of the last frame. */
  run(digit) {
    const key = [digit?.image, this.network, this.state.epoch];
    if (this.ran && key.every((part, index) => part === this.ran[index])) return;
    this.ran = key;
    this.values = null;
    if (!digit) return;
    const { logits, values } = this.network.run(digit.image, this.state.epoch);
    this.values = values;
    this.reader.keep(digit, this.state.network, this.state.epoch, logits);
  }

  /** Select the digit that the pen is at. */
  follow() {
    const { last } = this.drawing;
    if (!last || this.drawing.picture || this.drawing.sample) return;
    const distance = ({ box }) => {
      const across = Math.max(box.left - last[0], 0, last[0] - box.right);
      return across + Math.max(box.top - last[1], 0, last[1] - box.bottom);
    };
    const distances = this.digits.map(distance);
    if (distances.length) this.state.selected = distances.indexOf(Math.min(...distances));
  }

  showDetail(digit, results, busy) {
    const { state, network, digits } = this;
    const klass = digit ? (state.pointed ?? state.pinned) : null;
    if (digit) state.place ??= this.suggested();
    const { place } = state;
    const field = digit && place ? network.fieldOf(place.stage.shown, place.row, place.column) : null;
    const values = this.evidenceFor(digit, klass, busy);
    const shown = place?.suggested ? null : field; // nobody pointed there
    this.answer.render({ digits, results, selected: state.selected, klass, evidence: values, field: shown });
    const patch = field && network.patch(place.stage.shown, place.channel, place.row, place.column);
    const stages = this.maps.rows.map(({ stage }) => stage);
    this.inspector.render(patch ? { place, patch, image: digit.image, field, stages, held: state.held } : null);
    this.maps.inspector.classList.toggle("held", state.held);
    this.maps.carry(place);
    const sources = (patch?.terms ?? []).filter(({ height, width }) => height * width <= MOST_CELLS).map(boxOfTerm);
    this.maps.render(this.values, digit ? place : null, sources);
  }

  /** Return a pixel to begin with: the brightest of the first layer. */
  suggested() {
    const { stage, height, width } = this.maps.rows[0];
    const { values } = this.values[stage.shown];
    const at = values.indexOf(values.reduce((most, value) => Math.max(most, value), -Infinity));
    const channel = Math.floor(at / (height * width));
    return { stage, channel, row: Math.floor(at / width) % height, column: at % width, suggested: true };
  }

  /** Return the evidence of the pixels for a class; the same is not computed twice, and none while the pen moves. */
  evidenceFor(digit, klass, busy) {
    if (klass === null) return null;
    const key = [this.state.network, this.state.epoch, klass].join();
    if (this.evidence.key !== key || this.evidence.image !== digit.image) {
      if (busy) {
        this.refresh();
        return null;
      }
      this.evidence = { key, image: digit.image, values: evidence(this.network, digit.image, klass) };
    }
    return this.evidence.values;
  }

  /** Let the other networks read, too; those that would hold up a frame wait for the next. */
  compare(started, results) {
    const { digits, reader, state } = this;
    const end = Math.min(started + QUICK_MS, performance.now() + LONG_MS);
    let idle = started === Infinity; // such a frame computes one result at least
    const lines = (each) => (digits.length ? readLines(digits, each).join(" ") : null);
    this.networks.forEach((_, index) => {
      if (index === state.network) return this.comparison.render(index, lines(results), results[state.selected]);
      for (const digit of digits) {
        if (reader.knows(digit, index, undefined)) continue;
        if (!idle && performance.now() > end) return this.refresh();
        reader.result(digit, index, undefined);
        idle = false;
      }
      const own = digits.map((digit) => reader.result(digit, index, undefined));
      this.comparison.render(index, lines(own), own[state.selected]);
    });
  }

  announceLater(reading) {
    if (reading === this.said) return;
    this.said = reading;
    clearTimeout(this.announcing);
    this.announcing = setTimeout(() => reading && announce(`Read as ${reading}`), ANNOUNCE_MS);
  }
}

/** Return the part of a map that a term of a sum is. */
function boxOfTerm({ input, channel, top, left, height, width, dilation = [1, 1] }) {
  const end = (start, count, step) => start + (count - 1) * step + 1;
  return { input, channel, top, left, bottom: end(top, height, dilation[0]), right: end(left, width, dilation[1]) };
}

async function start() {
  const models = await unpackedModels(byId("models").textContent);
  const networks = models.map((model) => new Network(model, model.weights, model.film?.weights));
  const app = new App(networks);
  // For the console, and for tests.
  globalThis.under20k = { app, networks, segments, drawnSegments, greyOf, digitImage };
  app.example();
}

start();
