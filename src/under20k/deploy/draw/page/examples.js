// Drawings to start from, so that the page is never empty.

/** Paths of a pen through knots, in hundredths of the digit's height; "!" makes a knot a corner. */
const FORMS = {
  0: "36,3 10,20 4,60 26,98 54,78 58,30 38,4 24,8",
  1: "10,28 32,0! 32,100",
  2: "6,28 20,4 46,8 50,34 26,68 4,94! 34,92 62,96",
  3: "6,14 28,2 48,20 26,46! 54,72 30,98 4,88",
  4: "34,0 4,62! 66,62 / 46,34 44,100",
  5: "16,4 12,44! 34,36 56,64 34,98 4,88 / 16,4 58,3",
  6: "44,2 16,36 6,72 28,98 52,76 34,54 10,66",
  7: "4,6 60,4! 38,46 30,100 / 14,54 56,50",
  8: "50,16 28,2 8,22 30,46 54,74 28,98 4,76 28,48 50,22 44,8",
  9: "54,16 28,2 6,28 24,52 46,40 54,12! 54,58 50,100",
};

/** Digits with the left edge, top and height of each, and the pen. */
const EXAMPLES = [
  { digits: [[4, 0.12, 0.2, 0.36], [2, 0.42, 0.2, 0.35], [7, 0.68, 0.19, 0.37]], pen: "medium" },
  { digits: [[3, 0.36, 0.12, 0.5]], pen: "medium" },
  { digits: [[5, 0.06, 0.56, 0.13]], pen: "thin" },
  { digits: [[8, 0.34, 0.12, 0.52]], pen: "thick" },
  { digits: [[1, 0.07, 0.3, 0.2], [9, 0.24, 0.28, 0.21], [6, 0.43, 0.3, 0.2], [0, 0.62, 0.29, 0.2], [2, 0.81, 0.3, 0.19]], pen: "thin" },
];

/** Return the strokes of an example. */
function exampleStrokes({ digits, pen }) {
  return digits.flatMap(([digit, left, top, height]) =>
    FORMS[digit].split("/").map((path) => ({
      width: PENS[pen],
      points: smooth(path.trim().split(/\s+/)).map(([x, y]) => [left + x * height, top + y * height]),
    })),
  );
}

/** Return points along smooth curves through knots, as fractions of the height. */
function smooth(words) {
  const knots = words.map((word) => word.replace("!", "").split(",").map((number) => number / 100));
  const corner = (index) => index === 0 || index === knots.length - 1 || words[index].endsWith("!");
  const tangent = (index) =>
    [0, 1].map((axis) => (corner(index) ? 0 : (knots[index + 1][axis] - knots[index - 1][axis]) / 2));
  const points = [knots[0]];
  for (let index = 1; index < knots.length; index++) {
    const [from, to] = [knots[index - 1], knots[index]];
    const [leaving, arriving] = [tangent(index - 1), tangent(index)];
    for (let step = 1; step <= 12; step++) {
      const t = step / 12;
      const [a, b] = [t * t * (3 - 2 * t), t * (1 - t) * (1 - t)];
      const c = t * t * (t - 1);
      points.push([0, 1].map((axis) => from[axis] * (1 - a) + to[axis] * a + leaving[axis] * b + arriving[axis] * c));
    }
  }
  return points;
}

const DEMONSTRATION_MS = 1800;

/** Draw an example as a hand would; at once for those who want less motion. Returns a function that stops it. */
function demonstrate(drawing, example) {
  const strokes = exampleStrokes(example);
  if (stillness()) {
    drawing.place(strokes);
    return () => {};
  }
  const total = strokes.reduce((sum, { points }) => sum + points.length, 0);
  let started = null;
  let handle = requestAnimationFrame(function step(now) {
    started ??= now;
    const progress = Math.min((now - started) / DEMONSTRATION_MS, 1);
    let left = Math.max(1, Math.round(progress * total));
    const drawn = [];
    for (const { points, width } of strokes) {
      if (left > 0) drawn.push({ points: points.slice(0, left), width });
      left -= points.length;
    }
    drawing.place(drawn, started !== now);
    if (progress < 1) handle = requestAnimationFrame(step);
  });
  return () => cancelAnimationFrame(handle);
}
