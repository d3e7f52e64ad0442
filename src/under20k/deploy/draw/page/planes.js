// Planes: rectangles of numbers, {values, height, width}, row after row, and what images need of them.

/** Return a plane of zeros. */
function planeOf(height, width, Type = Float32Array) {
  return { values: new Type(height * width), height, width };
}

/** Return the plane of a function of each value and its index. */
function mapped(plane, change, Type = plane.values.constructor) {
  const result = planeOf(plane.height, plane.width, Type);
  for (let i = 0; i < result.values.length; i++) result.values[i] = change(plane.values[i], i);
  return result;
}

/** Return the largest value of a plane, at least 0. */
const highestOf = (plane) => Math.max(0, mostOf(plane.values));

/** Return the largest of any number of values; Math.max takes only so many. */
function mostOf(values) {
  let most = -Infinity;
  for (let i = 0; i < values.length; i++) if (values[i] > most) most = values[i];
  return most;
}

/** Return the smallest of any number of values. */
function leastOf(values) {
  let least = Infinity;
  for (let i = 0; i < values.length; i++) if (values[i] < least) least = values[i];
  return least;
}

function sumOf({ values }) {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return sum;
}

/** Return a part of a plane; what lies outside is 0. */
function partOf(plane, { left, top, right, bottom }) {
  const part = planeOf(bottom - top, right - left, plane.values.constructor);
  const from = Math.max(left, 0);
  const to = Math.min(right, plane.width);
  for (let y = Math.max(top, 0); y < Math.min(bottom, plane.height); y++) {
    part.values.set(
      plane.values.subarray(y * plane.width + from, y * plane.width + to),
      (y - top) * part.width + from - left,
    );
  }
  return part;
}

/** Return a plane with a margin of zeros. */
function framed(plane, margin) {
  return partOf(plane, {
    left: -margin,
    top: -margin,
    right: plane.width + margin,
    bottom: plane.height + margin,
  });
}

/** Return the smallest box of all values above a limit, null if there are none. */
function boxAbove({ values, height, width }, limit) {
  const box = { left: width, top: height, right: 0, bottom: 0 };
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (!(values[i] > limit)) continue;
      if (x < box.left) box.left = x;
      if (x >= box.right) box.right = x + 1;
      if (y < box.top) box.top = y;
      box.bottom = y + 1;
    }
  }
  return box.right ? box : null;
}

/** Return a plane whose columns are the rows of another. */
function turned({ values, height, width }) {
  const result = planeOf(width, height, values.constructor);
  for (let y = 0, i = 0; y < height; y++)
    for (let x = 0; x < width; x++, i++) result.values[x * height + y] = values[i];
  return result;
}

/** Return the means of squares of a plane; those at the right and bottom edges may be smaller. */
function reducedBy(plane, side) {
  if (side === 1) return plane;
  const small = planeOf(Math.ceil(plane.height / side), Math.ceil(plane.width / side));
  const sums = new Float64Array(small.values.length);
  for (let y = 0, i = 0; y < plane.height; y++) {
    const row = Math.floor(y / side) * small.width;
    for (let x = 0; x < plane.width; x++, i++) sums[row + Math.floor(x / side)] += plane.values[i];
  }
  for (let y = 0, i = 0; y < small.height; y++) {
    for (let x = 0; x < small.width; x++, i++) {
      const area = Math.min(side, plane.height - y * side) * Math.min(side, plane.width - x * side);
      small.values[i] = sums[i] / area;
    }
  }
  return small;
}

/** Return a reduced plane, interpolated to the shape that it had before. */
function enlargedBy(small, side, height, width) {
  const large = planeOf(height, width);
  const [last, end] = [small.height - 1, small.width - 1];
  for (let y = 0, i = 0; y < height; y++) {
    const row = Math.min(Math.max((y + 0.5) / side - 0.5, 0), last);
    const up = Math.floor(row);
    const above = up * small.width;
    const below = Math.min(up + 1, last) * small.width;
    for (let x = 0; x < width; x++, i++) {
      const column = Math.min(Math.max((x + 0.5) / side - 0.5, 0), end);
      const near = Math.floor(column);
      const far = Math.min(near + 1, end);
      const across = column - near;
      const high = small.values[above + near] * (1 - across) + small.values[above + far] * across;
      const low = small.values[below + near] * (1 - across) + small.values[below + far] * across;
      large.values[i] = high + (low - high) * (row - up);
    }
  }
  return large;
}

/** Return the extreme value within a square of so many pixels a side (odd); choose is Math.max or Math.min. */
function extremes(plane, side, choose) {
  const reach = (side - 1) / 2;
  const along = ({ values, height, width }) => {
    const result = planeOf(height, width, values.constructor);
    for (let y = 0, i = 0; y < height; y++) {
      for (let x = 0; x < width; x++, i++) {
        let best = values[i];
        const row = y * width;
        for (let j = Math.max(0, x - reach); j <= Math.min(width - 1, x + reach); j++)
          best = choose(best, values[row + j]);
        result.values[i] = best;
      }
    }
    return result;
  };
  return turned(along(turned(along(plane))));
}

/** Return the value below which a fraction of values lies; interpolated. */
function quantile(values, fraction) {
  if (!values.length) return 0;
  const sorted = Float64Array.from(values).sort();
  const at = fraction * (sorted.length - 1);
  const low = Math.floor(at);
  return sorted[low] + (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]) * (at - low);
}

const median = (values) => quantile(values, 0.5);

/** Return the median of each pixel's square of three pixels a side; the edges repeat. */
function medianOfNine(plane) {
  const { values, height, width } = plane;
  const near = new Float64Array(9);
  return mapped(plane, (_, i) => {
    const [y, x] = [Math.floor(i / width), i % width];
    for (let k = 0; k < 9; k++) {
      const row = Math.min(Math.max(y + Math.floor(k / 3) - 1, 0), height - 1);
      near[k] = values[row * width + Math.min(Math.max(x + (k % 3) - 1, 0), width - 1)];
    }
    return near.sort()[4];
  });
}

/**
 * Return the connected parts of a mask: {labels, parts}; labels count from 1, and each part is {label, area,
 * left, top, right, bottom}. Neighbours at corners connect, too, unless told otherwise.
 */
function connected({ values, height, width }, corners = true) {
  const labels = new Int32Array(values.length);
  const parts = [];
  const stack = new Int32Array(values.length);
  for (let start = 0; start < values.length; start++) {
    if (!values[start] || labels[start]) continue;
    const part = { label: parts.length + 1, area: 0, left: width, top: height, right: 0, bottom: 0 };
    parts.push(part);
    labels[start] = part.label;
    stack[0] = start;
    for (let depth = 1; depth;) {
      const at = stack[--depth];
      const y = Math.floor(at / width);
      const x = at - y * width;
      part.area++;
      part.left = Math.min(part.left, x);
      part.right = Math.max(part.right, x + 1);
      part.top = Math.min(part.top, y);
      part.bottom = Math.max(part.bottom, y + 1);
      for (let row = Math.max(0, y - 1); row <= Math.min(height - 1, y + 1); row++) {
        for (let column = Math.max(0, x - 1); column <= Math.min(width - 1, x + 1); column++) {
          const next = row * width + column;
          if (!values[next] || labels[next] || (!corners && row !== y && column !== x)) continue;
          labels[next] = part.label;
          stack[depth++] = next;
        }
      }
    }
  }
  return { labels, parts };
}

/** Return the distance of each pixel of a mask to the nearest that is none, in pixels; 0 where it is none. */
function distances(mask) {
  const far = mask.height + mask.width;
  const along = ({ values, height, width }) => {
    const result = planeOf(height, width, Float64Array);
    for (let y = 0; y < height; y++) lowerEnvelope(values, y * width, width, result.values);
    return result;
  };
  const squares = mapped(mask, (value) => (value ? far * far : 0), Float64Array);
  return mapped(turned(along(turned(along(squares)))), Math.sqrt);
}

/** Write min over j of values[j] + (i − j)² for each i of a row: the lower envelope of parabolas. */
function lowerEnvelope(values, from, length, result) {
  const vertices = new Int32Array(length);
  const starts = new Float64Array(length + 1);
  const meeting = (i, j) => (values[from + i] + i * i - values[from + j] - j * j) / (2 * (i - j));
  let last = 0;
  starts[0] = -Infinity;
  for (let i = 1; i < length; i++) {
    let start = meeting(i, vertices[last]);
    while (last && start <= starts[last]) start = meeting(i, vertices[--last]);
    if (start <= starts[last]) last = -1;
    vertices[++last] = i;
    starts[last] = last ? start : -Infinity;
  }
  starts[last + 1] = Infinity;
  for (let i = 0, k = 0; i < length; i++) {
    while (starts[k + 1] < i) k++;
    result[from + i] = values[from + vertices[k]] + (i - vertices[k]) ** 2;
  }
}
