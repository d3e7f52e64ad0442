// The luminance of a picture, and the ink of one that holds a single digit: light or dark, in any light.
// Ink is a plane from 0 (background) to 255 (full ink).

const BLANK = 8; // grey levels: a picture with less contrast is blank
const AGREEMENT = 0.15; // of the contrast: pixels of the background are no farther from its level

/** Return the luminance of an ImageData, 0 black to 255 white; transparent parts are as paper. */
function greyOf({ data, width, height }) {
  const luminance = planeOf(height, width);
  const lows = [255, 255, 255];
  const highs = [0, 0, 0];
  let clear = 0;
  for (let i = 0, at = 0; i < luminance.values.length; i++, at += 4) {
    for (let channel = 0; channel < 3; channel++) {
      if (data[at + channel] < lows[channel]) lows[channel] = data[at + channel];
      if (data[at + channel] > highs[channel]) highs[channel] = data[at + channel];
    }
    clear += 255 - data[at + 3];
    // ITU-R BT.601 in whole numbers, as Pillow.
    luminance.values[i] = (data[at] * 19595 + data[at + 1] * 38470 + data[at + 2] * 7471 + 0x8000) >> 16;
  }
  // Ink as light as its paper shows in a single colour.
  const ranges = highs.map((high, channel) => high - lows[channel]);
  const telling = ranges.indexOf(Math.max(...ranges));
  const coloured = rangeOf(luminance.values) < 24 && ranges[telling] >= 48;
  const grey = coloured ? mapped(luminance, (_, i) => data[4 * i + telling]) : luminance;
  return clear
    ? onPaper(
        grey,
        mapped(grey, (_, i) => data[4 * i + 3] / 255),
      )
    : grey;
}

const rangeOf = (values) => mostOf(values) - leastOf(values);

/** Return a picture on paper that what is visible of it stands out from. */
function onPaper(grey, opacity) {
  const total = sumOf(opacity);
  if (!total) return mapped(grey, () => 255);
  const mean = sumOf(mapped(grey, (value, i) => value * opacity.values[i])) / total;
  const variance = sumOf(mapped(grey, (value, i) => (value - mean) ** 2 * opacity.values[i])) / total;
  const visible = grey.values.filter((_, i) => opacity.values[i] > 0.5);
  // Ink alone is visible where all is about as light; else ink and its paper are, and most of it is paper.
  let paper = mean < 127.5 ? 255 : 0;
  if (variance >= 40 ** 2) paper = visible.length ? median(visible) : mean;
  return mapped(grey, (value, i) => value * opacity.values[i] + paper * (1 - opacity.values[i]));
}

/** Return the ink of a picture of one digit, dark on light or light on dark; a blank one has none. */
function inkOf(grey) {
  const factor = Math.ceil(longerSide(grey) / 128);
  const reduced = reducedBy(grey, factor);
  if (rangeOf(reduced.values) < BLANK) return mapped(grey, () => 0);
  const photograph = longerSide(grey) >= 64;
  const { dark, paper, hasMargin } = polarity(reduced, photograph);
  const background = backgroundOf(reduced, paper, grey, photograph && hasMargin);
  const ink = mapped(grey, (value, i) => {
    const behind = background.values[i];
    // Dark ink takes away a fraction of the light that its paper gives.
    return dark ? ((value - behind) * -255) / Math.max(behind, 1) : value - behind;
  });
  const isPaper = (i) => {
    const [y, x] = [Math.floor(i / grey.width), i % grey.width];
    return paper[Math.floor(y / factor) * reduced.width + Math.floor(x / factor)];
  };
  return stretched(ink, isPaper, photograph);
}

/** Return the indices of the pixels at the edges of a plane. */
function borderOf({ height, width }) {
  const border = [];
  for (let i = 0; i < height * width; i++) {
    const [y, x] = [Math.floor(i / width), i % width];
    if (!y || !x || y === height - 1 || x === width - 1) border.push(i);
  }
  return border;
}

/** Return whether ink is darker than its paper, which pixels are paper, and whether the border is. */
function polarity(grey, photograph) {
  const border = borderOf(grey);
  for (const order of photograph ? [0, 1] : [0]) {
    const level = order ? surface(grey, border, 1)(grey) : mapped(grey, () => 0);
    const middle = order ? 0 : median(border.map((i) => grey.values[i]));
    const residual = mapped(grey, (value, i) => value - level.values[i] - middle).values;
    const tolerance = Math.max(AGREEMENT * rangeOf(residual), photograph ? BLANK / 2 : 0);
    const paper = Array.from(residual, (value) => Math.abs(value) <= tolerance);
    if (border.filter((i) => paper[i]).length < 0.8 * border.length) continue;
    const balance = residual.reduce((sum, value, i) => (paper[i] ? sum : sum + value), 0);
    return { dark: balance < 0, paper, hasMargin: true };
  }
  const threshold = betweenClasses(grey.values);
  const light = mapped(grey, (value) => (value > threshold ? 1 : 0));
  const dark = isPaperLight(grey, light, border);
  return { dark, paper: Array.from(light.values, (value) => Boolean(value) === dark), hasMargin: false };
}

/** Tell whether the paper is light in a picture that strokes reach the border of: it has most of the border, its
 * corners, and is cut there into more pieces than strokes are. */
function isPaperLight(grey, light, border) {
  const piecesOf = (mask) => {
    const { labels } = connected(mask, false);
    return new Set(border.map((i) => labels[i]).filter(Boolean)).size;
  };
  const pieces = piecesOf(light) - piecesOf(mapped(light, (value) => 1 - value));
  const { height, width } = grey;
  const corners =
    [0, width - 1, (height - 1) * width, height * width - 1].reduce((sum, i) => sum + light.values[i], 0) /
      4 -
    0.5;
  const [low, high] = [leastOf(grey.values), mostOf(grey.values)];
  const mean = border.reduce((sum, i) => sum + grey.values[i], 0) / border.length;
  const level = (mean - (high + low) / 2) / (high - low);
  return Math.min(Math.max(pieces, -4), 4) + 4 * corners + 8 * level > 0;
}

/** Return the level that divides values into two classes of the least variance within: Otsu's. */
function betweenClasses(values) {
  const low = leastOf(values);
  const step = rangeOf(values) / 64;
  const counts = new Float64Array(64);
  for (const value of values) counts[Math.min(63, Math.floor((value - low) / step))]++;
  const all = counts.reduce((sum, count, i) => sum + count * (i + 0.5), 0);
  let best = { score: -1, level: low };
  for (let i = 0, below = 0, moment = 0; i < 63; i++) {
    below += counts[i];
    moment += counts[i] * (i + 0.5);
    const above = values.length - below;
    if (!below || !above) continue;
    const score = below * above * (moment / below - (all - moment) / above) ** 2;
    if (score > best.score) best = { score, level: low + (i + 1) * step };
  }
  return best.level;
}

/** Return the monomials of a surface at a pixel, rows and columns from −1 to 1. */
function monomials(i, { height, width }, order) {
  const y = height > 1 ? (2 * Math.floor(i / width)) / (height - 1) - 1 : 0;
  const x = width > 1 ? (2 * (i % width)) / (width - 1) - 1 : 0;
  return order === 2 ? [1, y, x, y * y, x * x, y * x] : [1, y, x];
}

/** Fit a surface to some pixels, by the least absolute deviation; return it as a function of a shape. */
function surface(grey, indices, order) {
  const step = Math.max(1, Math.floor(indices.length / 2000));
  const chosen = indices.filter((_, position) => position % step === 0);
  const rows = chosen.map((i) => monomials(i, grey, order));
  const values = chosen.map((i) => grey.values[i]);
  let weights = values.map(() => 1);
  let solution = [];
  const at = (terms) => terms.reduce((sum, term, k) => sum + term * solution[k], 0);
  for (let round = 0; round < 6; round++) {
    solution = leastSquares(rows, values, weights);
    weights = rows.map((terms, i) => 1 / Math.max(Math.abs(values[i] - at(terms)), 0.5));
  }
  return (shape) => {
    const plane = planeOf(shape.height, shape.width);
    return mapped(plane, (_, i) => at(monomials(i, shape, order)));
  };
}

/** Solve weighted least squares by Gaussian elimination. */
function leastSquares(rows, values, weights) {
  const size = rows[0].length;
  const system = Array.from({ length: size }, (_, j) =>
    Array.from({ length: size + 1 }, (_, k) =>
      rows.reduce(
        (sum, terms, i) => sum + weights[i] * terms[j] * (k < size ? terms[k] : values[i]),
        j === k ? 1e-9 : 0,
      ),
    ),
  );
  for (let j = 0; j < size; j++) {
    for (let row = 0; row < size; row++) {
      if (row === j) continue;
      const factor = system[row][j] / system[j][j];
      for (let k = j; k <= size; k++) system[row][k] -= factor * system[j][k];
    }
  }
  return system.map((row, j) => row[size] / row[j]);
}

/** Return the paper's level everywhere: a curved surface in a photograph, else that of its border. */
function backgroundOf(grey, paper, shape, photograph) {
  const all = [...paper.keys()].filter((i) => paper[i]);
  const border = borderOf(grey).filter((i) => paper[i]);
  const known = border.length >= 3 ? border : all;
  const levels = known.map((i) => grey.values[i]);
  const level = median(levels);
  const plane = planeOf(shape.height, shape.width);
  if (!photograph || known.length < 12 || !rangeOf(levels)) return mapped(plane, () => level);
  const lows = all.map((i) => grey.values[i]);
  const [low, high] = [leastOf(lows), mostOf(lows)];
  return mapped(surface(grey, all, 2)(shape), (value) => Math.min(Math.max(value, low), high));
}

/** Return ink with the paper's noise at 0 and full ink at 255, without specks. */
function stretched(ink, isPaper, photograph) {
  const step = Math.max(1, Math.floor(ink.values.length / 100000));
  const sample = ink.values.filter((_, i) => i % step === 0);
  const onPaper = ink.values.filter((_, i) => i % step === 0 && isPaper(i)).map(Math.abs);
  const noise = 1.4826 * median(onPaper);
  const most = mostOf(sample);
  const full =
    noise && most > 0
      ? quantile(
          sample.filter((value) => value >= most / 2),
          0.75,
        )
      : most;
  let floor = 4 * noise;
  if (full <= Math.max(floor, BLANK)) return mapped(ink, () => 0);
  if (noise) floor = photograph ? Math.max(floor, 0.12 * full) : Math.min(floor, 0.12 * full);
  const result = mapped(ink, (value) => Math.min(Math.max(((value - floor) * 255) / (full - floor), 0), 255));
  return photograph ? withoutSpecks(result) : result;
}

/** Return ink without connected pieces of less than a fiftieth of the largest one's. */
function withoutSpecks(ink) {
  const { labels, parts } = connected(ink);
  const masses = new Float64Array(parts.length + 1);
  labels.forEach((label, i) => (masses[label] += ink.values[i]));
  const least = 0.02 * Math.max(mostOf(masses.subarray(1)), 0);
  return mapped(ink, (value, i) => (masses[labels[i]] >= least ? value : 0));
}
