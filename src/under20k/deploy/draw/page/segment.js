// The digits of a picture, in reading order: connected ink, joined where a stroke fell apart, line by line.

const WORKING_SIDE = 1024; // pixels: larger pictures are analysed at a whole fraction of their size
const FAINTEST = 0.12; // fraction of the paper's light that ink takes away at least

/**
 * Return what may be digits of a luminance plane, lines from top to bottom, left to right within:
 * [{box: {left, top, right, bottom}, ink, line}], boxes in pixels of the picture, ink as digitImage takes it.
 */
function segments(grey) {
  const single = longerSide(grey) <= 512 && grey.width <= 1.5 * grey.height ? inkOf(grey) : null;
  if (longerSide(grey) <= 48 && single) return wholeOf(single);
  if (single && isOne(single)) return wholeOf(single);
  const page = pageInk(grey);
  return linesOf(blobsOf(page)).flatMap((line, number) => line.map((blob) => segmentOf(page, blob, number, grey)));
}

/** Return the only digit of a picture; nothing if it is blank. */
function wholeOf(ink) {
  const box = boxAbove(ink, 0);
  return box ? [{ box, ink: partOf(ink, box), line: 0 }] : [];
}

/** Tell whether the ink of a picture is one digit, with gaps no wider than its stroke. */
function isOne(ink) {
  const mask = mapped(ink, (value) => (value > 64 ? 1 : 0));
  const covered = sumOf(mask) / mask.values.length;
  if (covered <= 0.003 || covered >= 0.85) return false;
  const reach = Math.max(1, strokeWidth(ink) / 2);
  const { labels, parts } = connected(mapped(distances(mapped(mask, (value) => 1 - value)), (far) => (far <= reach ? 1 : 0)), false);
  const masses = new Float64Array(parts.length + 1);
  labels.forEach((label, i) => (masses[label] += mask.values[i] * ink.values[i]));
  const most = Math.max(...masses);
  const part = parts[masses.indexOf(most) - 1];
  const [high, wide] = [part.bottom - part.top, part.right - part.left];
  return most >= 0.95 * masses.reduce((sum, mass) => sum + mass) && Math.max(high, wide) >= 0.35 * longerSide(ink) && wide <= 1.2 * high;
}

/** Return the ink of a page: {darkness, mask, factor}, darkness as a fraction of the paper's light. */
function pageInk(grey) {
  const factor = Math.ceil(longerSide(grey) / WORKING_SIDE);
  let small = reducedBy(grey, factor);
  const side = Math.max(1, Math.min(8, Math.floor(Math.min(small.height, small.width) / 12)));
  if (!isDarkOnLight(small)) small = mapped(small, (value) => 255 - value);
  const light = paperLight(small, side);
  const missing = mapped(small, (value, i) => light.values[i] - value);
  let sample = Array.from(missing.values).filter((_, i) => i % 9 === 0);
  let [middle, noise] = [0, 0];
  for (let round = 0; round < 3; round++) {
    middle = median(sample);
    noise = 1.4826 * median(sample.map((value) => Math.abs(value - middle)));
    sample = sample.filter((value) => value < middle + 4 * noise + 0.01);
  }
  const darkness = mapped(missing, (value, i) => Math.min(Math.max((value - middle) / Math.max(light.values[i], 1), 0), 1));
  const full = quantile(darkness.values.filter((value) => value > FAINTEST), 0.9);
  const mask = mapped(darkness, (value, i) => (value > Math.max(0.4 * full, FAINTEST, (5 * noise) / Math.max(light.values[i], 1)) ? 1 : 0), Uint8Array);
  return { darkness, mask, factor };
}

/** Tell whether what differs most from the median is darker than it. */
function isDarkOnLight(grey) {
  const middle = median(grey.values.filter((_, i) => i % 7 === 0));
  const differences = grey.values.map((value) => value - middle);
  const limit = Math.max(20, 5 * median(differences.filter((_, i) => i % 7 === 0).map(Math.abs)));
  let [dark, light] = [0, 0];
  for (const value of differences) {
    if (value < -limit) dark -= value;
    if (value > limit) light += value;
  }
  return light <= 1.6 * dark;
}

/** Return the paper's light everywhere: strokes are closed by what is lighter around them. */
function paperLight(grey, side) {
  const reach = Math.max(3, Math.floor(112 / side)) | 1;
  const blocks = medianOfNine(reducedBy(grey, side));
  const closed = extremes(extremes(blocks, reach, Math.max), reach, Math.min);
  return enlargedBy(closed, side, grey.height, grey.width);
}

/** Return the connected ink of a page: {left, top, right, bottom, labels: its own, level}, joined to digits. */
function blobsOf(page) {
  const { labels, parts } = connected(page.mask);
  const blobs = parts
    .filter((part) => part.area >= 12)
    .map(({ label, ...box }) => ({ ...box, own: new Set([label]), labels }));
  const height = typicalHeight(blobs);
  return joined(blobs, height).filter((blob) => blob.bottom - blob.top > 0.3 * height);
}

/** Return the height of a digit: the median over the ink. */
function typicalHeight(blobs) {
  const heights = blobs.map((blob) => blob.bottom - blob.top).sort((a, b) => a - b);
  const total = heights.reduce((sum, height) => sum + height ** 1.5, 0);
  let sum = 0;
  return heights.find((height) => (sum += height ** 1.5) >= total / 2) ?? 0;
}

/** Return blobs in which parts of one digit are one. */
function joined(blobs, height) {
  const whole = [...blobs];
  for (let i = 0; i < whole.length; i++) {
    for (let j = i + 1; j < whole.length; j++) {
      if (!belongTogether(whole[i], whole[j], height)) continue;
      whole[i] = union(whole[i], whole[j]);
      whole.splice(j, 1);
      j = i;
    }
  }
  return whole;
}

function union(one, other) {
  return {
    left: Math.min(one.left, other.left),
    top: Math.min(one.top, other.top),
    right: Math.max(one.right, other.right),
    bottom: Math.max(one.bottom, other.bottom),
    area: one.area + other.area,
    own: new Set([...one.own, ...other.own]),
    labels: one.labels,
  };
}

/** Tell whether two blobs may be parts of one digit: small together, and near. */
function belongTogether(one, other, height) {
  const both = union(one, other);
  const [small, large] = [one, other].map((blob) => blob.bottom - blob.top).sort((a, b) => a - b);
  if (both.bottom - both.top > 1.35 * height || both.right - both.left > 1.25 * height) return false;
  if (small > 0.72 * height && small > 0.72 * large) return false;
  const aside = Math.max(one.left, other.left) - Math.min(one.right, other.right);
  const apart = Math.max(one.top, other.top) - Math.min(one.bottom, other.bottom);
  return aside < 0.22 * height && apart < 0.4 * height;
}

/** Return the lines of a page, from top to bottom, each from left to right. */
function linesOf(blobs) {
  const lines = [];
  const middle = (blob) => (blob.top + blob.bottom) / 2;
  for (const blob of [...blobs].sort((a, b) => middle(a) - middle(b))) {
    const line = lines[lines.length - 1];
    const tall = line && median(line.map((each) => each.bottom - each.top));
    if (line && middle(blob) - median(line.map(middle)) < 0.5 * tall) line.push(blob);
    else lines.push([blob]);
  }
  for (const line of lines) line.sort((a, b) => a.left + a.right - b.left - b.right);
  return lines;
}

/** Return a blob as a segment: its own ink alone, which fades out over a pixel at the edge of a stroke. */
function segmentOf({ darkness, factor }, blob, line, grey) {
  const box = { left: Math.max(0, blob.left - 1), top: Math.max(0, blob.top - 1), right: Math.min(darkness.width, blob.right + 1), bottom: Math.min(darkness.height, blob.bottom + 1) };
  const own = planeOf(darkness.height, darkness.width);
  for (let y = blob.top; y < blob.bottom; y++) {
    for (let x = blob.left, i = y * darkness.width + x; x < blob.right; x++, i++) own.values[i] = blob.own.has(blob.labels[i]) ? 1 : 0;
  }
  const wide = extremes(partOf(own, box), 3, Math.max);
  const part = partOf(darkness, box);
  const level = quantile(part.values.filter((_, i) => wide.values[i]), 0.8);
  const ink = mapped(part, (value, i) => (wide.values[i] ? Math.min(value / level, 1) * 255 : 0));
  const scaled = Object.fromEntries(Object.entries(box).map(([side, at]) => [side, at * factor]));
  return { box: { ...scaled, right: Math.min(scaled.right, grey.width), bottom: Math.min(scaled.bottom, grey.height) }, ink, line };
}
