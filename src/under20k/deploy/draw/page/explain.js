// Which pixels spoke for and against a class: squares of ink are covered, one after the other.
// Against gradients, this predicts better what happens without a pixel, and it gives all classes at once.

const SQUARE = 3; // pixels a side of a square that is covered
const SQUARE_STEP = 2; // pixels from a square to the next

/**
 * Return the evidence of each pixel, (784,), for a class; negative is against it. Of each square, it is how much
 * the log-odds of the class fall in nats when its ink is covered, shared among its pixels by their ink; of
 * a pixel, the mean over the squares that cover it.
 */
function evidence(network, image, klass, epoch = network.epoch) {
  const { logits, squares } = network.coveredOf(image, epoch);
  const all = logOdds(logits, klass);
  const total = new Float32Array(SIDE * SIDE);
  const times = new Float32Array(SIDE * SIDE);
  for (const square of squares) {
    const ink = square.pixels.reduce((sum, pixel) => sum + image[pixel], 0);
    const fall = ink ? all - logOdds(square.logits, klass) : 0;
    for (const pixel of square.pixels) {
      times[pixel]++;
      if (ink) total[pixel] += (fall * image[pixel]) / ink;
    }
  }
  return total.map((value, pixel) => value / times[pixel]);
}

/** Return log p / (1 − p) of a class. */
function logOdds(logits, klass) {
  return logits[klass] - logSumExp(Array.from(logits).filter((_, index) => index !== klass));
}

/** Return the squares of pixels that are covered, all of the image together. */
function coveredSquares() {
  const squares = [];
  const starts = Array.from(
    { length: Math.ceil((SIDE + SQUARE - SQUARE_STEP) / SQUARE_STEP) },
    (_, i) => SQUARE_STEP - SQUARE + i * SQUARE_STEP,
  );
  const inside = (start) =>
    Array.from({ length: SQUARE }, (_, i) => start + i).filter((at) => at >= 0 && at < SIDE);
  for (const top of starts) {
    for (const left of starts) {
      const rows = inside(top);
      const pixels = rows.flatMap((y) => inside(left).map((x) => y * SIDE + x));
      squares.push({ pixels, rows: [rows[0], rows[rows.length - 1] + 1] });
    }
  }
  return squares;
}

/** Return {logits, squares: [{pixels, logits}]}: the logits of an image, and without each square's ink. */
function coverAll(plan, name, tensors, image) {
  const logits = Float32Array.from(plan.run(image, tensors)[name].values);
  plan.keep();
  const squares = coveredSquares().map(({ pixels, rows }) => {
    if (!pixels.some((pixel) => image[pixel])) return { pixels, logits };
    const other = image.slice();
    for (const pixel of pixels) other[pixel] = 0;
    plan.runRows(other, rows, tensors);
    const result = Float32Array.from(plan.values[name].values);
    plan.restore();
    return { pixels, logits: result };
  });
  return { logits, squares };
}
