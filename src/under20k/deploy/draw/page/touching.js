// Digits that touch: cuts along paths from top to bottom that cross little ink, and the likeliest reading of them.

const CUT = 0.45; // what a cut costs, as a difference of the logarithm of a probability

/**
 * Return the blobs that a blob consists of, from left to right. belief(blob) is the logarithm of the
 * probability of its digit; a cut costs, and so does a part that is wide or low for its line.
 */
function separated(blob, height, belief) {
  const tall = Math.max(0.6 * height, Math.min(heightOf(blob), 1.3 * height));
  if (widthOf(blob) < 0.6 * tall || Math.min(blob.mask.height, blob.mask.width) < 4) return [blob];
  // A cut costs CUT at least.
  if (belief(blob) - oddness(blob, blob, height) >= -CUT) return [blob];
  const cuts = cutsOf(blob.mask, tall);
  const ends = [null, ...cuts, null];
  const ways = [{ score: 0, parts: [] }];
  for (let stop = 1; stop < ends.length; stop++) {
    const price = ends[stop] ? CUT + 0.5 * Math.max(0, ends[stop].crossed - 1) : 0;
    for (let start = 0; start < stop; start++) {
      const part = ways[start] && partBetween(blob, ends[start]?.path, ends[stop]?.path, tall);
      if (!part) continue;
      const score = ways[start].score + belief(part) - oddness(part, blob, height) - price;
      if (!ways[stop] || score > ways[stop].score)
        ways[stop] = { score, parts: [...ways[start].parts, part] };
    }
  }
  return ways[ends.length - 1].parts;
}

/** Return what the shape of a part costs among the digits of its line. */
function oddness(part, whole, height) {
  const ratio = widthOf(part) / Math.max(heightOf(part), 0.8 * height);
  // A line may have smaller digits, too.
  const low = heightOf(part) / (heightOf(whole) >= 0.75 * height ? height : heightOf(whole));
  return 2.5 * Math.max(0, ratio - 0.7) + 8 * Math.max(0, 0.75 - low);
}

/** Return the part of a blob between two paths, or its ends; null if it cannot be a digit. */
function partBetween(blob, left, right, tall) {
  if (!left && !right) return blob;
  const { width } = blob.mask;
  const mask = mapped(blob.mask, (value, i) => {
    const [y, x] = [Math.floor(i / width), i % width];
    return value && x >= (left ? left[y] : 0) && x < (right ? right[y] : width) ? 1 : 0;
  });
  const area = sumOf(mask);
  const box = boxAbove(mask, 0);
  if (
    !box ||
    area < 0.01 * tall ** 2 ||
    box.right - box.left > 1.35 * tall ||
    box.bottom - box.top <= 0.45 * tall
  )
    return null;
  const moved = {
    left: blob.left + box.left,
    top: blob.top + box.top,
    right: blob.left + box.right,
    bottom: blob.top + box.bottom,
  };
  return { ...moved, mask: partOf(mask, box), area, level: blob.level };
}

/** Return cuts, {path: the column in each row, crossed: widths of the stroke}, from left to right. */
function cutsOf(mask, tall) {
  const scale = Math.min(1, 40 / mask.height);
  const sides = [mask.height, mask.width].map((side) => Math.max(2, Math.round(side * scale)));
  const ink = averaged(mapped(mask, Number, Float64Array), sides);
  const stroke = Math.max(1, 1.2 * strokeWidth(mapped(ink, (value) => (value > 0.5 ? 1 : 0))));
  const found = [];
  for (
    let middle = 0.14 * tall * scale;
    middle < ink.width - 0.12 * tall * scale;
    middle += 0.1 * tall * scale
  ) {
    const path = cheapestPath(ink, middle, Math.max(1, 0.14 * tall * scale));
    const crossed = path.reduce((sum, x, y) => sum + ink.values[y * ink.width + x], 0) / stroke;
    if (crossed <= 2.6) found.push({ path, crossed });
  }
  const kept = [];
  const apart = (one, other) =>
    one.path.reduce((sum, x, y) => sum + Math.abs(x - other.path[y]), 0) / ink.height;
  for (const cut of found.sort((a, b) => a.crossed - b.crossed)) {
    if (kept.every((other) => apart(cut, other) > 0.07 * tall * scale)) kept.push(cut);
  }
  const mean = ({ path }) => path.reduce((sum, x) => sum + x, 0);
  return kept
    .sort((a, b) => mean(a) - mean(b))
    .map(({ path, crossed }) => {
      const column = (_, y) =>
        Math.round(((path[Math.min(Math.floor(y * scale), path.length - 1)] + 0.5) * mask.width) / ink.width);
      return { crossed, path: Array.from({ length: mask.height }, column) };
    });
}

/** Return the path near a column, one column a row, that crosses the least ink. */
function cheapestPath({ values, height, width }, middle, reach) {
  const slant = 0.08;
  const totals = new Float64Array(height * width);
  // The step aside, −1 to 1, to the cheapest pixel of a row that neighbours a column.
  const stepTo = (row, x) => {
    const at = row * width + x;
    let [step, least] = [0, totals[at]];
    if (x > 0 && totals[at - 1] + slant < least) [step, least] = [-1, totals[at - 1] + slant];
    if (x < width - 1 && totals[at + 1] + slant < least) step = 1;
    return step;
  };
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      totals[i] = values[i] + 0.001 + 0.25 * Math.max(0, Math.abs(x - middle) / reach - 1) ** 2;
      if (!y) continue;
      const step = stepTo(y - 1, x);
      totals[i] += totals[i - width + step] + slant * Math.abs(step);
    }
  }
  const last = totals.subarray((height - 1) * width);
  const path = [last.indexOf(leastOf(last))];
  for (let y = height - 2; y >= 0; y--) path.unshift(path[0] + stepTo(y, path[0]));
  return path;
}
