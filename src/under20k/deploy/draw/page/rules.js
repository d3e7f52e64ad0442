// The lines of ruled and squared paper and of tables, taken out of a page's ink.

const STEEPEST = 0.08; // slope of a line at most
const SLOPES = 33; // that are tried

/** Return a mask without long, thin, straight lines; strokes that cross them stay whole. */
function withoutRules(mask) {
  if (Math.min(mask.height, mask.width) < 100) return mask;
  return turned(withoutLevelRules(turned(withoutLevelRules(mask))));
}

/** Return a mask without such lines from left to right. */
function withoutLevelRules(mask) {
  const { width } = mask;
  const thick = Math.max(3, Math.round(longerSide(mask) / 120));
  const runs = runLengths(mask);
  const thin = mapped(mask, (value, i) => (value && runs.values[i] <= thick ? 1 : 0), Uint8Array);
  const rules = levelRules(thin);
  if (!rules.length) return mask;
  const result = mapped(mask, Number);
  for (const { row, slope } of rules) {
    for (let x = 0; x < width; x++) {
      const middle = Math.round(row + slope * (x - width / 2));
      for (let y = Math.max(0, middle - thick); y <= Math.min(mask.height - 1, middle + thick); y++) {
        if (thin.values[y * width + x]) result.values[y * width + x] = 0;
      }
    }
  }
  return result;
}

/** Return lines, {row: in the middle of the page, slope}, that thin ink covers for much of the page's width. */
function levelRules({ values, height, width }) {
  const side = Math.max(8, Math.floor(width / 40));
  const strips = Math.floor(width / side);
  const covered = planeOf(height, strips, Uint8Array);
  const near = (i) => values[i] || values[i - width] || values[i + width];
  for (let y = 0; y < height; y++) {
    for (let strip = 0; strip < strips; strip++) {
      let amount = 0;
      for (let i = y * width + strip * side, end = i + side; i < end; i++) if (near(i)) amount++;
      covered.values[y * strips + strip] = amount > 0.75 * side ? 1 : 0;
    }
  }
  const found = [];
  for (let number = 0; number < SLOPES; number++) {
    const slope = STEEPEST * ((2 * number) / (SLOPES - 1) - 1);
    const shifts = Array.from({ length: strips }, (_, strip) =>
      Math.round(slope * ((strip + 0.5) * side - width / 2)),
    );
    for (let row = 0; row < height; row++) {
      let score = 0;
      for (let strip = 0; strip < strips; strip++) {
        const y = row + shifts[strip];
        if (y >= 0 && y < height) score += covered.values[y * strips + strip];
      }
      if (score > 0.35 * strips && score > 5) found.push({ row, slope, score });
    }
  }
  return likeliestRules(found);
}

/** Return the lines of the highest scores, without their neighbours. */
function likeliestRules(lines) {
  const kept = [];
  for (const line of lines.sort((a, b) => b.score - a.score)) {
    if (kept.every((other) => Math.abs(other.row - line.row) > 4)) kept.push(line);
  }
  return kept;
}

/** Return the length of the vertical run of ink at each pixel. */
function runLengths({ values, height, width }) {
  const result = planeOf(height, width);
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < height;) {
      let end = y;
      while (end < height && values[end * width + x]) end++;
      for (let row = y; row < end; row++) result.values[row * width + x] = end - y;
      y = Math.max(end, y + 1);
    }
  }
  return result;
}
