// The digits of a picture, in reading order.

/**
 * Return what may be digits of a luminance plane, lines from top to bottom, left to right within:
 * [{box: {left, top, right, bottom}, ink, line}], boxes in pixels of the picture, ink as digitImage takes it.
 * With a network, ink that may be several digits is cut where the network is surest of the parts; segments
 * whose image it has seen have it, too.
 */
function segments(grey, network = null) {
  const medium = grey.width <= 1.5 * grey.height;
  if (longerSide(grey) <= 48 && medium) return wholeOf(inkOf(grey));
  const single = longerSide(grey) <= 512 && medium ? inkOf(grey) : null;
  if (single && isOne(single)) return wholeOf(single);
  const page = pageInk(grey);
  const lines = linesOf(blobsOf(page));
  if (!lines.length && single && isSolid(single)) return wholeOf(single);
  const blobs = lines.flat();
  if (single && areOne(blobs) && !isTable(lines)) {
    const whole = blobs.reduce(union);
    if (whole.area > 0.9 * sumOf(page.mask)) return wholeOf(single);
    return [segmentOf(page, whole, grey)];
  }
  if (blobs.length === 1 && widthOf(blobs[0]) < 1.2 * heightOf(blobs[0]))
    return [segmentOf(page, blobs[0], grey)];
  return segmentsOfLines(page, lines, grey, network);
}

/** Return the segments of lines; with a network, what touches is cut. */
function segmentsOfLines(page, lines, grey, network) {
  const known = new Map();
  const segmentFor = (blob) => {
    if (!known.has(blob)) known.set(blob, segmentOf(page, blob, grey));
    return known.get(blob);
  };
  const belief = (blob) => {
    const segment = segmentFor(blob);
    segment.image = digitImage(segment.ink);
    const logits = network.runQuick(segment.image);
    return Math.max(...logits) - logSumExp(logits);
  };
  return lines.flatMap((line, number) => {
    const height = typicalHeight(line);
    const digits = network ? line.flatMap((blob) => separated(blob, height, belief)) : line;
    return digits.map((blob) => ({ ...segmentFor(blob), line: number }));
  });
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
  if (covered <= 0.003 || covered >= 0.85 || !isInside(mask)) return false;
  const reach = Math.max(1, strokeWidth(ink) / 2);
  const far = distances(mapped(mask, (value) => 1 - value));
  const { labels, parts } = connected(
    mapped(far, (distance) => (distance <= reach ? 1 : 0)),
    false,
  );
  const masses = new Float64Array(parts.length + 1);
  labels.forEach((label, i) => (masses[label] += mask.values[i] * ink.values[i]));
  const most = mostOf(masses);
  const { label, ...box } = parts[masses.indexOf(most) - 1];
  const pieces = connected(mapped(mask, (value, i) => (labels[i] === label ? value : 0))).parts;
  const large = Math.max(heightOf(box), widthOf(box)) >= 0.35 * longerSide(ink);
  return most >= 0.95 * sumOf({ values: masses }) && large && hasWidth(pieces, box);
}

/** Tell whether all the blobs of a picture may be one digit, fallen apart. */
function areOne(blobs) {
  if (!blobs.length || blobs.length > 8) return false;
  const whole = blobs.reduce(union);
  const rows = Array.from({ length: whole.mask.height }, (_, y) =>
    whole.mask.values.subarray(y * whole.mask.width, (y + 1) * whole.mask.width).some(Boolean),
  );
  const gaps = rows.map(Number).join("").match(/0+/g) ?? [];
  return gaps.every((gap) => gap.length + 1 < 0.25 * heightOf(whole)) && hasWidth(blobs, whole);
}

/** Tell whether lines are several digits each, none of them a mere piece of the whole. */
function isTable(lines) {
  const whole = lines.flat().reduce(union);
  const high = lines.flat().every((blob) => heightOf(blob) > (0.6 / lines.length) * heightOf(whole));
  return high && lines.filter((line) => line.length > 1).length > 1;
}

/** Tell whether pieces are as wide for their height as one digit, and not two side by side. */
function hasWidth(pieces, whole) {
  const tall = pieces
    .filter((piece) => heightOf(piece) > 0.7 * heightOf(whole))
    .sort((a, b) => a.left - b.left);
  if (tall.some((piece, index) => index && piece.left >= tall[index - 1].right)) return false;
  return widthOf(whole) <= (pieces.length === 1 ? 1.2 : 1.5) * heightOf(whole);
}

/** Tell whether ink touches the edges of its picture as a digit may: no grid, no shadow, no frame. */
function isInside({ values, height, width }) {
  const at = (y, x) => values[y * width + x];
  const around = [];
  for (let x = 0; x < width; x++) around.push(at(0, x));
  for (let y = 1; y < height; y++) around.push(at(y, width - 1));
  for (let x = width - 2; x >= 0; x--) around.push(at(height - 1, x));
  for (let y = height - 2; y > 0; y--) around.push(at(y, 0));
  const contacts = around.filter((value, i) => value && !around[i ? i - 1 : around.length - 1]).length;
  return contacts <= 8 && around.filter(Boolean).length <= 0.2 * around.length;
}

/** Tell whether the ink of a picture is that of one large digit, not noise or a shadow. */
function isSolid(ink) {
  const mask = mapped(ink, (value) => (value > 127 ? 1 : 0));
  const { parts } = connected(mask);
  if (!parts.length || !isInside(mask)) return false;
  const largest = parts.reduce((best, part) => (part.area > best.area ? part : best));
  return (
    largest.area >= 0.6 * sumOf(mask) &&
    Math.max(heightOf(largest), widthOf(largest)) >= 0.35 * longerSide(ink)
  );
}

/** Return the lines of a page, from top to bottom, each from left to right. */
function linesOf(blobs) {
  const slope = slopeOf(blobs);
  const level = (blob) => (blob.top + blob.bottom - slope * (blob.left + blob.right)) / 2;
  const lines = [];
  for (const blob of [...blobs].sort((a, b) => level(a) - level(b))) {
    const line = lines[lines.length - 1];
    const tall = line && median(line.map(heightOf));
    const near =
      line &&
      level(blob) - median(line.map(level)) < 0.5 * Math.max(tall, Math.min(heightOf(blob), 1.5 * tall));
    if (near) line.push(blob);
    else lines.push([blob]);
  }
  for (const line of lines) line.sort((a, b) => a.left + a.right - b.left - b.right);
  return lines;
}

/** Return how far the lines fall a pixel, from each blob and its right neighbour. */
function slopeOf(blobs) {
  const x = (blob) => (blob.left + blob.right) / 2;
  const y = (blob) => (blob.top + blob.bottom) / 2;
  const slopes = [];
  for (const blob of blobs) {
    const cost = (other) => x(other) - x(blob) + 3 * Math.abs(y(other) - y(blob));
    const near = blobs.filter((other) => {
      const tall = Math.max(heightOf(blob), heightOf(other));
      const right = x(other) - x(blob);
      return right > 0.15 * tall && right < 5 * tall && Math.abs(y(other) - y(blob)) < 0.5 * tall;
    });
    if (!near.length) continue;
    const next = near.reduce((best, other) => (cost(other) < cost(best) ? other : best));
    slopes.push((y(next) - y(blob)) / (x(next) - x(blob)));
  }
  const slope = slopes.length > 1 ? median(slopes) : 0;
  return Math.abs(slope) < 0.3 ? slope : 0;
}

/** Return a blob as a segment: its own ink alone, which fades out over a pixel at the edge of a stroke. */
function segmentOf({ darkness, factor }, blob, grey) {
  const box = {
    left: Math.max(0, blob.left - 1),
    top: Math.max(0, blob.top - 1),
    right: Math.min(darkness.width, blob.right + 1),
    bottom: Math.min(darkness.height, blob.bottom + 1),
  };
  const [top, left] = [box.top - blob.top, box.left - blob.left];
  const wide = extremes(
    partOf(blob.mask, { left, top, right: left + widthOf(box), bottom: top + heightOf(box) }),
    3,
    Math.max,
  );
  const ink = mapped(partOf(darkness, box), (value, i) =>
    wide.values[i] ? Math.min(value / Math.max(blob.level, 1e-3), 1) * 255 : 0,
  );
  const [right, bottom] = [
    Math.min(box.right * factor, grey.width),
    Math.min(box.bottom * factor, grey.height),
  ];
  return { box: { left: box.left * factor, top: box.top * factor, right, bottom }, ink, line: 0 };
}
