// The ink of a page: paper in any light, ink dark on light or light on dark.

const WORKING_SIDE = 2048; // pixels: larger pictures are analysed at a whole fraction of their size
const CLOSED = 112; // pixels: what is narrower is no paper, so it bounds the width of a stroke
const FAINTEST = 0.12; // fraction of the paper's light that ink takes away at least

/** Return the ink of a page: {darkness: the fraction of the paper's light that is missing, mask, factor}. */
function pageInk(grey) {
  const factor = Math.ceil(longerSide(grey) / WORKING_SIDE);
  let small = withoutLonePixels(reducedBy(grey, factor));
  if (!isDarkOnLight(small)) small = mapped(small, (value) => 255 - value);
  let page = inkAt(small, CLOSED);
  // A band of shadow narrower than the widest stroke has digits in it; a scan's border is always there.
  for (let closed = CLOSED / 2; page.shaded && closed >= 20; closed /= 2) {
    const other = inkAt(small, closed);
    if (!other.shaded) page = other;
  }
  return { ...page, mask: withoutRules(page.mask), factor };
}

const blockSide = ({ height, width }) => Math.max(1, Math.min(8, Math.floor(Math.min(height, width) / 12)));

/** Return a picture in which no pixel is unlike all eight of its neighbours. */
function withoutLonePixels(grey) {
  const { values, height, width } = grey;
  const steps = [-width - 1, -width, 1 - width, -1, 1, width - 1, width, width + 1];
  return mapped(grey, (value, i) => {
    const x = i % width;
    if (!x || x === width - 1 || i < width || i >= (height - 1) * width) return value;
    let [low, high] = [values[i - 1], values[i - 1]];
    for (const step of steps) {
      const near = values[i + step];
      if (near < low) low = near;
      if (near > high) high = near;
    }
    return value < low - 25 || value > high + 25 ? (low + high) / 2 : value;
  });
}

/** Judge by the pixels that differ most from the median of the picture, or of a large one's neighbourhood. */
function isDarkOnLight(grey, inner = false) {
  const large = Math.min(grey.height, grey.width) >= 2 * CLOSED;
  const around = large ? medianAround(grey) : mapped(grey, () => 0);
  const middle = large ? 0 : median(grey.values);
  const differences = mapped(grey, (value, i) => value - around.values[i] - middle).values;
  const limit = Math.max(20, 5 * median(everyNth(differences, 5).map(Math.abs)));
  let [dark, light] = [0, 0];
  for (const value of differences) {
    if (value < -limit) dark -= value;
    if (value > limit) light += value;
  }
  if (light <= 1.6 * dark) return true;
  if (inner || !large) return false;
  // Beside a scan's dark border, paper would be light ink.
  const [high, wide] = [grey.height, grey.width].map((side) => Math.floor(0.08 * side));
  return isDarkOnLight(
    partOf(grey, { left: wide, top: high, right: grey.width - wide, bottom: grey.height - high }),
    true,
  );
}

const everyNth = (values, step) => values.filter((_, i) => i % step === 0);

/** Return the median of each pixel's neighbourhood of about CLOSED pixels, from a sample of it. */
function medianAround(grey) {
  const side = 16;
  const blocks = reducedBy(grey, side);
  const reach = Math.floor(CLOSED / side / 2);
  const result = mapped(blocks, (_, i) => {
    const [y, x] = [Math.floor(i / blocks.width), i % blocks.width];
    const near = [];
    for (let row = Math.max(0, y - reach); row <= Math.min(blocks.height - 1, y + reach); row++) {
      for (let column = Math.max(0, x - reach); column <= Math.min(blocks.width - 1, x + reach); column++) {
        near.push(blocks.values[row * blocks.width + column]);
      }
    }
    return median(near);
  });
  return enlargedBy(result, side, grey.height, grey.width);
}

/** Return the ink of dark strokes narrower than so many pixels, and whether shades were left out. */
function inkAt(small, closed) {
  const side = blockSide(small);
  const light = paperLight(small, side, closed);
  const typical = quantile(everyNth(light.values, 7), 0.75);
  let missing = mapped(small, (value, i) => light.values[i] - value);
  let [middle, noise] = spreadOf(missing);
  if (noise > 0.03 * typical) {
    missing = smoothed(missing);
    noise *= 0.4;
  }
  const isPaper = (i) => light.values[i] >= 0.35 * typical;
  const darkness = mapped(missing, (value, i) =>
    isPaper(i) ? Math.min(Math.max((value - middle) / light.values[i], 0), 1) : 0,
  );
  const lowest = (i) => Math.max((5 * noise) / light.values[i], FAINTEST);
  const levels = levelsNear(darkness, side, noise / Math.max(typical, 1));
  const shades = shadesOf(mapped(darkness, (value, i) => (value > 0.75 * lowest(i) ? 1 : 0)));
  const mask = mapped(
    darkness,
    (value, i) => (value > Math.max(0.4 * levels.values[i], lowest(i)) && !shades?.values[i] ? 1 : 0),
    Uint8Array,
  );
  return { darkness, mask, shaded: Boolean(shades) };
}

/** Return the paper's light everywhere: narrow strokes are closed by what is lighter around them. */
function paperLight(grey, side, closed) {
  const reach = Math.max(3, Math.floor(closed / side)) | 1;
  const blocks = medianOfNine(reducedBy(grey, side));
  // Beyond the edges it is as bright as at them: else a page that darkens towards one has ink there.
  const closing = extremes(extremes(continued(blocks, reach), reach, Math.max), reach, Math.min);
  const right = reach + blocks.width;
  const whole = partOf(closing, { left: reach, top: reach, right, bottom: reach + blocks.height });
  // At the edge of a shadow the darker side counts: else the shadow's rim would be ink.
  const light = enlargedBy(extremes(whole, 3, Math.min), side, grey.height, grey.width);
  return mapped(light, (value) => Math.max(value, 1));
}

/** Return a plane with a margin in which the values at its edges go on. */
function continued({ values, height, width }, margin) {
  const large = planeOf(height + 2 * margin, width + 2 * margin, values.constructor);
  for (let y = 0, i = 0; y < large.height; y++) {
    const row = Math.min(Math.max(y - margin, 0), height - 1) * width;
    for (let x = 0; x < large.width; x++, i++) {
      large.values[i] = values[row + Math.min(Math.max(x - margin, 0), width - 1)];
    }
  }
  return large;
}

/** Return the level of paper and its standard deviation in what light is missing, ink left out. */
function spreadOf({ values }) {
  let sample = everyNth(values, 9);
  let [middle, noise] = [0, 0];
  for (let round = 0; round < 3; round++) {
    middle = median(sample);
    noise = 1.4826 * median(sample.map((value) => Math.abs(value - middle)));
    sample = sample.filter((value) => value < middle + 4 * noise + 0.01);
  }
  return [middle, noise];
}

/** Return a plane, each pixel averaged with its neighbours as a Gaussian of 0.8 pixels does. */
function smoothed(plane) {
  const along = ({ values, height, width }) => {
    const result = planeOf(height, width);
    for (let i = 0; i < values.length; i++) {
      const x = i % width;
      const [left, right] = [values[x ? i - 1 : i], values[x < width - 1 ? i + 1 : i]];
      result.values[i] = 0.522 * values[i] + 0.239 * (left + right);
    }
    return result;
  };
  return turned(along(turned(along(plane))));
}

/** Return the darkness of full ink near each pixel. */
function levelsNear(darkness, side, noise) {
  const { height, width } = darkness;
  const smooth = Math.min(height, width) > 60 ? smoothed(darkness) : darkness;
  const peaks = planeOf(Math.ceil(height / side), Math.ceil(width / side));
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const block = Math.floor(y / side) * peaks.width + Math.floor(x / side);
      if (smooth.values[i] > peaks.values[block]) peaks.values[block] = smooth.values[i];
    }
  }
  const inked = peaks.values.filter((value) => value > Math.max(6 * noise, FAINTEST));
  const level = quantile(inked, 0.9);
  const near = extremes(peaks, Math.max(3, Math.floor(40 / side)) | 1, Math.max);
  return enlargedBy(
    mapped(near, (value) => Math.max(value, 0.5 * level)),
    side,
    height,
    width,
  );
}

/** Return what is solid and runs along an edge of the page, null if nothing does: a table, a shadow, a border. */
function shadesOf(faint) {
  const side = 4;
  if (Math.min(faint.height, faint.width) < 16 * side) return null;
  const solid = mapped(reducedBy(faint, side), (value) => (value > 0.75 ? 1 : 0));
  const { labels, parts } = connected(solid, false);
  const border = borderOf(solid);
  const long = new Set();
  for (const { label } of parts) {
    const own = border.filter((i) => labels[i] === label);
    const rows = own.filter((i) => i % solid.width === 0 || i % solid.width === solid.width - 1).length;
    if (rows > 0.15 * solid.height || own.length - rows > 0.15 * solid.width) long.add(label);
  }
  if (!long.size) return null;
  const own = extremes(
    mapped(solid, (_, i) => (long.has(labels[i]) ? 1 : 0)),
    5,
    Math.max,
  );
  return mapped(faint, (value, i) => {
    const [y, x] = [Math.floor(i / faint.width), i % faint.width];
    return value && own.values[Math.floor(y / side) * own.width + Math.floor(x / side)];
  });
}
