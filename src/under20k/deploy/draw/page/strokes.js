// The digits among drawn strokes. What is ink is known here, so no light or paper has to be guessed.

const FAINT = 0.04; // of full ink: less than the edges of a stroke have
const FULLEST = 0.6; // fraction of a box that digits fill at most; a dash fills more
const NARROWEST = 0.3; // width per height of a line that digits that touch have on average, at least
const WIDE = 0.85; // width of ink per height from which on it may be digits that touch

/**
 * Return what may be digits of dark strokes on white (ImageData), as `segments` returns those of a picture.
 * With a network, digits that touch are cut, though not the one whose stroke is still growing.
 */
function drawnSegments({ data, width, height }, network = null, cutter = new Cutter(), growing = false) {
  const darkness = planeOf(height, width);
  const mask = planeOf(height, width, Uint8Array);
  for (let i = 0; i < mask.values.length; i++) {
    darkness.values[i] = 1 - data[4 * i] / 255;
    mask.values[i] = darkness.values[i] > FAINT ? 1 : 0;
  }
  const blobs = wholeDigits(withoutSmall(connectedInk({ darkness, mask, factor: 1 }, 1)));
  return linesOf(blobs).flatMap((line, number) => {
    const tall = typicalHeight(line);
    const digits = line.flatMap((blob) =>
      network && maybeSeveral(blob) ? cutter.cut(blob, tall, network, growing) : [blob],
    );
    return digits.map((blob) => drawnSegment(darkness, blob, number));
  });
}

/** Tell whether a blob may be several digits that touch. */
function maybeSeveral(blob) {
  return widthOf(blob) > WIDE * heightOf(blob) && blob.area < FULLEST * widthOf(blob) * heightOf(blob);
}

/** Return blobs in which strokes of one digit are one, though they may not touch. */
function wholeDigits(blobs) {
  const height = typicalHeight(blobs);
  const whole = [...blobs];
  for (let i = 0; i < whole.length; i++) {
    const j = whole.findIndex((other, index) => index > i && belongTogether(whole[i], other, height));
    if (j < 0) continue;
    whole[i] = union(whole[i], ...whole.splice(j, 1));
    i = -1;
  }
  return whole;
}

/** Tell whether two blobs are strokes of one digit: together not too large, one of them small, and near. */
function belongTogether(one, other, height) {
  const high = Math.max(one.bottom, other.bottom) - Math.min(one.top, other.top);
  const wide = Math.max(one.right, other.right) - Math.min(one.left, other.left);
  if (high > 1.35 * height || wide > 1.25 * height) return false;
  const [small, large] = [one, other].map(heightOf).sort((a, b) => a - b);
  if (small > 0.72 * height && small > 0.72 * large) return false;
  const aside = Math.max(one.left, other.left) - Math.min(one.right, other.right);
  const apart = Math.max(one.top, other.top) - Math.min(one.bottom, other.bottom);
  return aside < 0.22 * height && apart < 0.4 * height;
}

/** Return a blob as a segment, with its own ink alone. */
function drawnSegment(darkness, { left, top, right, bottom, mask }, line) {
  const box = { left, top, right, bottom };
  return { box, line, ink: mapped(partOf(darkness, box), (value, i) => (mask.values[i] ? 255 * value : 0)) };
}

/** Cuts digits that touch, once: what did not change since is not cut anew. */
class Cutter {
  constructor() {
    this.known = new Map();
  }

  /** Return the digits of a blob; while it still grows, it is not cut. */
  cut(blob, height, network, growing) {
    const key = [blob.left, blob.top, blob.right, blob.bottom, blob.area].join();
    if (this.known.has(key)) return this.known.get(key);
    if (growing) return [blob];
    const belief = ({ mask }) => {
      const logits = network.runQuick(digitImage(mapped(mask, (value) => 255 * value, Float32Array)));
      return mostOf(logits) - logSumExp(logits);
    };
    const parts = separated(blob, height, belief);
    const digits = parts.length * NARROWEST * height <= widthOf(blob) ? parts : [blob];
    if (this.known.size > 50) this.known.clear();
    this.known.set(key, digits);
    return digits;
  }
}
