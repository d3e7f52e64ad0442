// What is on the paper: strokes or a picture, with every step kept for undo.
// Lengths are fractions of the paper's width; the paper is HEIGHT high.

const HEIGHT = 0.75;
const PENS = { thin: 0.012, medium: 0.026, thick: 0.05 };
const MOST_STEPS = 200; // that undo takes back
const MOST_KEPT = 16e6; // pixels of pictures that undo keeps: 64 MB
const PLANE_WIDTH = 400; // pixels across the plane on which strokes are read

class Drawing {
  /** Call `changed` whenever what is on the paper changes. */
  constructor(changed) {
    this.changed = changed;
    this.strokes = []; // [{points: [[x, y], …], width}]
    this.picture = null; // {canvas, left, top, scale}; with `found` once it was read
    this.sample = false; // the strokes are the page's own, and leave when the reader draws
    this.history = [];
    this.pen = "medium";
    this.down = false; // whether the pen is on the paper
    this.last = null; // where it was last
    this.canvas = document.createElement("canvas");
    this.canvas.width = PLANE_WIDTH;
    this.canvas.height = PLANE_WIDTH * HEIGHT;
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.repaint();
  }

  get empty() {
    return !this.picture && !this.strokes.length;
  }

  remember() {
    this.history.push({ strokes: this.strokes.slice(), picture: this.picture, sample: this.sample });
    while (this.history.length > MOST_STEPS || this.keptPixels > MOST_KEPT) this.history.shift();
  }

  /** Return how many pixels the pictures have that undo keeps. */
  get keptPixels() {
    const pictures = new Set(this.history.map(({ picture }) => picture?.canvas));
    return [...pictures].reduce((total, canvas) => total + (canvas ? canvas.width * canvas.height : 0), 0);
  }

  /** Put the pen down. */
  begin(point) {
    this.remember();
    if (this.picture || this.sample) this.strokes = [];
    this.picture = null;
    this.sample = false;
    this.strokes.push({ points: [point], width: PENS[this.pen] });
    this.last = point;
    this.down = true;
    this.repaint();
  }

  /** Lift the pen. */
  end() {
    this.down = false;
    this.changed();
  }

  /** Move the pen along points; it draws nothing once its stroke was taken from under it. */
  extend(points) {
    if (!this.down) return;
    const stroke = this.strokes.at(-1);
    for (const point of points) {
      const [x, y] = stroke.points.at(-1);
      if (Math.hypot(point[0] - x, point[1] - y) > 0.0008) stroke.points.push(point);
    }
    this.last = stroke.points.at(-1);
    this.repaint();
  }

  undo() {
    const before = this.history.pop();
    if (!before) return;
    Object.assign(this, before, { down: false });
    this.repaint();
  }

  clear() {
    if (this.empty) return;
    this.remember();
    Object.assign(this, { strokes: [], picture: null, sample: false, down: false });
    this.repaint();
  }

  /** Replace all by the strokes of an example; one that is still being drawn is not a step of its own. */
  place(strokes, continued = false) {
    if (!continued) this.remember();
    Object.assign(this, { strokes, picture: null, sample: true, down: false });
    this.repaint();
  }

  /** Replace all by a picture (an ImageBitmap). */
  show(bitmap) {
    this.remember();
    const canvas = shrunk(bitmap);
    const scale = Math.min(1 / canvas.width, HEIGHT / canvas.height);
    const left = (1 - canvas.width * scale) / 2;
    const top = (HEIGHT - canvas.height * scale) / 2;
    Object.assign(this, { strokes: [], sample: false, down: false, picture: { canvas, left, top, scale } });
    this.repaint();
  }

  repaint() {
    const { context } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#fff";
    context.fillRect(0, 0, PLANE_WIDTH, PLANE_WIDTH * HEIGHT);
    context.setTransform(PLANE_WIDTH, 0, 0, PLANE_WIDTH, 0, 0);
    paintStrokes(context, this.strokes, "#000");
    this.changed();
  }

  /** Tell whether there is a picture that was not read yet. */
  get waiting() {
    return Boolean(this.picture && !this.picture.found);
  }

  /** Return the pixels of the strokes, dark ink on white. */
  pixels() {
    return this.context.getImageData(0, 0, PLANE_WIDTH, PLANE_WIDTH * HEIGHT);
  }
}

const MOST_PIXELS = 4e6; // of a picture that is read

/** Return a picture on a canvas of at most MOST_PIXELS, and free it. */
function shrunk(bitmap) {
  const shrink = Math.min(1, Math.sqrt(MOST_PIXELS / (bitmap.width * bitmap.height)));
  const width = Math.max(1, Math.round(bitmap.width * shrink));
  const height = Math.max(1, Math.round(bitmap.height * shrink));
  const canvas = make("canvas", { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  return canvas;
}

/** Paint strokes as smooth curves: through the middles between points, bent towards the points. */
function paintStrokes(context, strokes, colour) {
  context.strokeStyle = colour;
  context.fillStyle = colour;
  context.lineCap = "round";
  context.lineJoin = "round";
  for (const { points, width } of strokes) {
    context.beginPath();
    if (points.length === 1) {
      context.arc(points[0][0], points[0][1], width / 2, 0, 2 * Math.PI);
      context.fill();
      continue;
    }
    context.lineWidth = width;
    context.moveTo(points[0][0], points[0][1]);
    for (let index = 1; index < points.length - 1; index++) {
      const [x, y] = points[index];
      const [nextX, nextY] = points[index + 1];
      context.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
    }
    context.lineTo(points.at(-1)[0], points.at(-1)[1]);
    context.stroke();
  }
}
