// From the ink of one digit to 28×28 as MNIST has it: docs/digit-image.md, step by step.

/** Return one digit's image, 784 levels, of its ink: a plane of 0 (background) to 255 (full ink). */
function digitImage(ink) {
  if (!highestOf(ink)) return new Uint8Array(SIDE * SIDE);
  let source = cropped(mapped(ink, Number, Float64Array), 0.1);
  if (longerSide(source) < 20) source = cropped(enlarged(source), 0.15);
  return centred(darkened(thinned(narrowed(source))));
}

const longerSide = ({ height, width }) => Math.max(height, width);

/** Crop(p): the rectangle of all that exceeds a fraction of the maximum. */
function cropped(plane, fraction) {
  return partOf(plane, boxAbove(plane, fraction * highestOf(plane)));
}

/** Fit(s): the sides, whole numbers, for a longer side of so many pixels. */
function fitted(plane, side) {
  const longest = longerSide(plane);
  return [plane.height, plane.width].map((own) =>
    Math.max(1, Math.floor((2 * own * side + longest) / (2 * longest))),
  );
}

/** Average(h, w): each pixel is the mean of the area that it covers. */
function averaged(plane, [height, width]) {
  return turned(averagedRows(turned(averagedRows(plane, height)), width));
}

function averagedRows(plane, outputs) {
  if (plane.height === outputs) return plane;
  const result = planeOf(outputs, plane.width, Float64Array);
  for (let i = 0; i < outputs; i++) {
    const low = (i * plane.height) / outputs;
    const high = ((i + 1) * plane.height) / outputs;
    for (let j = Math.floor(low); j < Math.min(plane.height, Math.ceil(high)); j++) {
      const part = ((Math.min(high, j + 1) - Math.max(low, j)) * outputs) / plane.height;
      for (let x = 0; x < plane.width; x++)
        result.values[i * plane.width + x] += part * plane.values[j * plane.width + x];
    }
  }
  return result;
}

/** Enlarge: a margin of three pixels, then Lanczos's filter, to a longer side of 100 or more. */
function enlarged(plane) {
  const factor = Math.ceil(100 / longerSide(plane));
  const large = turned(lanczosRows(turned(lanczosRows(framed(plane, 3), factor)), factor));
  return mapped(large, (value) => Math.max(value, 0));
}

function lanczosRows(plane, factor) {
  const result = planeOf(plane.height * factor, plane.width, Float64Array);
  for (let i = 0; i < result.height; i++) {
    const middle = (i + 0.5) / factor;
    const first = Math.max(0, Math.floor(middle - 3));
    const weights = [];
    for (let j = first; j < Math.min(plane.height, Math.ceil(middle + 3)); j++)
      weights.push(lanczos(j + 0.5 - middle));
    const total = weights.reduce((sum, weight) => sum + weight);
    weights.forEach((weight, k) => {
      const from = (first + k) * plane.width;
      for (let x = 0; x < plane.width; x++)
        result.values[i * plane.width + x] += (weight / total) * plane.values[from + x];
    });
  }
  return result;
}

function lanczos(x) {
  if (x === 0) return 1;
  if (Math.abs(x) >= 3) return 0;
  return (3 * Math.sin(Math.PI * x) * Math.sin((Math.PI * x) / 3)) / (Math.PI * x) ** 2;
}

/** Small: a longer side of 20 pixels and a maximum of 255. */
function smallOf(source) {
  const small = averaged(source, fitted(source, 20));
  const most = highestOf(small);
  return mapped(small, (value) => value * (255 / most));
}

/** Step 4: a 1 that was stretched to a square is narrowed. */
function narrowed(source) {
  const small = smallOf(source);
  if (small.height < 20 || small.width < 0.78 * small.height) return source;
  const across = variation(small);
  const run = sumOf(small) / 255 / across;
  if ((across / small.height) * (variation(turned(small)) / small.width) >= 1.12 || run <= 5) return source;
  return averaged(source, [source.height, Math.max(1, Math.floor((source.width * 5) / run + 0.5))]);
}

/** Return the sum of the differences between horizontal neighbours, in strokes. */
function variation(small) {
  const { values, width } = framed(small, 1);
  let sum = 0;
  for (let i = 1; i < values.length; i++) if (i % width) sum += Math.abs(values[i] - values[i - 1]);
  return sum / 510;
}

/** Stroke width: twice the ink by the length of its contour. */
function strokeWidth(small) {
  const { values, height, width } = framed(small, 1);
  let contour = 0;
  for (let y = 0; y < height - 1; y++) {
    for (let i = y * width; i < (y + 1) * width - 1; i++) {
      const down = values[i + width] - values[i];
      const right = values[i + 1] - values[i];
      contour += Math.sqrt(down * down + right * right);
    }
  }
  return (2 * sumOf(small)) / contour;
}

/** Steps 3 and 5: the small plane, with strokes that are not much wider than MNIST's. */
function thinned(source) {
  let small = smallOf(source);
  for (let round = 0; round < 2; round++) {
    const width = strokeWidth(small);
    if (width <= 5) break;
    let large = longerSide(source) < 100 ? cropped(enlarged(source), 0.15) : source;
    large = averaged(large, fitted(large, 100));
    const limit = 0.5 * highestOf(large);
    const depth = distances(
      framed(
        mapped(large, (value) => (value > limit ? 1 : 0)),
        1,
      ),
    );
    const reach = Math.min((100 * (width - 5)) / 30, 0.6 * highestOf(depth));
    source = cropped(
      mapped(depth, (value) => 255 * Math.min(Math.max(value - reach, 0), 1)),
      0.5,
    );
    small = smallOf(source);
  }
  return small;
}

/** Step 6: faint strokes become darker. */
function darkened(small) {
  const near = extremes(small, 3, Math.max);
  const ridge = small.values.reduce((sum, value, i) => sum + value * near.values[i], 0) / sumOf(small);
  return mapped(small, (value) => Math.min(value * Math.max(240 / ridge, 1), 255));
}

/** Step 7: the image, with the centre of mass in the middle. */
function centred(small) {
  const corner = ({ values, height, width }) => {
    const moment = values.reduce((sum, value, i) => sum + value * (Math.floor(i / width) + 0.5), 0);
    return Math.min(Math.max(14 - Math.floor(moment / sumOf({ values }) + 1e-6), 0), SIDE - height);
  };
  const top = corner(small);
  const left = corner(turned(small));
  const image = new Uint8Array(SIDE * SIDE);
  small.values.forEach((value, i) => {
    const y = Math.floor(i / small.width);
    image[(top + y) * SIDE + left + i - y * small.width] = Math.floor(value + 0.5);
  });
  return image;
}
