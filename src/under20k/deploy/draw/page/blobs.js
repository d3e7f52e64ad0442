// Connected ink of a page: which of it may be digits, and its parts joined where a stroke fell apart.
// A blob is {left, top, right, bottom, mask, area, level}: its box, which pixels of it are its own, its darkness.

const heightOf = (blob) => blob.bottom - blob.top;
const widthOf = (blob) => blob.right - blob.left;
const sizeOfBlob = (blob) => Math.max(heightOf(blob), widthOf(blob));

/** Return what may be digits on a page. */
function blobsOf(page) {
  const smallest = Math.max(3, Math.floor(12 / page.factor ** 2));
  const blobs = withoutFaint(withoutBorders(connectedInk(page, smallest), page.mask), page);
  return joinedDigits(blobs).filter((blob) => heightOf(blob) * page.factor >= 8);
}

/** Return blobs without specks, their parts joined to digits. */
function joinedDigits(blobs) {
  const large = withoutSmall(blobs);
  return joined(large, typicalHeight(large));
}

/** Return the connected ink of a page, of so many pixels at least. */
function connectedInk(page, smallest) {
  const { labels, parts } = connected(page.mask);
  return parts.filter((part) => part.area >= smallest).map((part) => blobOf(page, labels, part));
}

function blobOf({ darkness }, labels, { label, left, top, right, bottom, area }) {
  const mask = planeOf(bottom - top, right - left, Uint8Array);
  const own = [];
  for (let y = top, i = 0; y < bottom; y++) {
    for (let at = y * darkness.width + left; at < y * darkness.width + right; at++, i++) {
      if (labels[at] !== label) continue;
      mask.values[i] = 1;
      own.push(darkness.values[at]);
    }
  }
  return { left, top, right, bottom, mask, area, level: quantile(own, 0.8) };
}

/** Return one blob of two. */
function union(one, other) {
  const box = {
    left: Math.min(one.left, other.left),
    top: Math.min(one.top, other.top),
    right: Math.max(one.right, other.right),
    bottom: Math.max(one.bottom, other.bottom),
  };
  const mask = planeOf(heightOf(box), widthOf(box), Uint8Array);
  for (const blob of [one, other]) {
    for (let y = 0, i = 0; y < blob.mask.height; y++) {
      const start = (y + blob.top - box.top) * mask.width + blob.left - box.left;
      for (let x = 0; x < blob.mask.width; x++, i++) mask.values[start + x] |= blob.mask.values[i];
    }
  }
  return { ...box, mask, area: one.area + other.area, level: Math.max(one.level, other.level) };
}

/** Return the height of a digit: the median over the ink, so that specks count for little. */
function typicalHeight(blobs) {
  const heights = blobs.map(heightOf).sort((a, b) => a - b);
  const half = heights.reduce((sum, height) => sum + height ** 1.5, 0) / 2;
  let sum = 0;
  return heights.find((height) => (sum += height ** 1.5) >= half) ?? 0;
}

/** Drop long lines, and large ink at an edge of the page. */
function withoutBorders(blobs, { height, width }) {
  const isThin = (blob) => Math.min(heightOf(blob), widthOf(blob)) * 12 < sizeOfBlob(blob);
  const thick = typicalHeight(blobs.filter((blob) => !isThin(blob))) || Math.max(height, width);
  const edgesOf = (blob) => [blob.left === 0, blob.top === 0, blob.right === width, blob.bottom === height];
  const touches = (blob) => edgesOf(blob).some(Boolean);
  const kept = blobs.filter((blob) => {
    const [high, wide, size] = [heightOf(blob), widthOf(blob), sizeOfBlob(blob)];
    const [left, top, right, bottom] = edgesOf(blob);
    const long = size > 0.5 * Math.max(height, width) && size > 60;
    const thin = isThin(blob) && size > (wide > high ? 1.1 : 1.6) * thick;
    const along =
      ((left || right) && high > 3 * wide && high > 0.25 * height) || ((top || bottom) && wide > 3 * high);
    return !(touches(blob) && (long || left + top + right + bottom > 1)) && !thin && !along;
  });
  const inner = kept.filter((blob) => !touches(blob));
  // Ink at the edges alone is writing only if the picture was cropped to it.
  if (!inner.length) return kept.filter((blob) => heightOf(blob) > 0.5 * height);
  const usual = typicalHeight(inner);
  return kept.filter(
    (blob) => !touches(blob) || (sizeOfBlob(blob) > 0.5 * usual && sizeOfBlob(blob) < 1.6 * usual),
  );
}

/** Drop what is much fainter than the page's ink: the other side's, that shows through. */
function withoutFaint(blobs, { factor }) {
  const level = quantile(
    blobs.filter((blob) => heightOf(blob) * factor >= 8).map((blob) => blob.level),
    0.85,
  );
  return level < 0.18 ? [] : blobs.filter((blob) => blob.level >= 0.45 * level);
}

/** Drop what is too small beside the page's digits. */
function withoutSmall(blobs) {
  const height = typicalHeight(blobs);
  return blobs.filter((blob) => {
    const slight = blob.area < 0.006 * height ** 2 && sizeOfBlob(blob) < 0.35 * height;
    return sizeOfBlob(blob) >= 0.12 * height && !slight && sizeOfBlob(blob) >= 3;
  });
}

/** Return blobs in which parts of one digit, of about a height, are one; the likeliest pairs first. */
function joined(blobs, height) {
  const whole = [...blobs];
  for (;;) {
    const pairs = pairsOf(whole, height).sort((a, b) => a.cost - b.cost);
    if (!pairs.length) return whole;
    const used = new Set();
    for (const { one, other } of pairs) {
      if (used.has(one) || used.has(other)) continue;
      used.add(one).add(other);
      whole.push(union(one, other));
    }
    for (const blob of used) whole.splice(whole.indexOf(blob), 1);
  }
}

function pairsOf(blobs, height) {
  const order = [...blobs].sort((a, b) => a.left - b.left);
  return order.flatMap((one, index) => {
    const pairs = [];
    for (const other of order.slice(index + 1)) {
      if (other.left > one.right + 0.22 * height) break;
      const cost = costOf(one, other, height);
      if (cost < 1) pairs.push({ one, other, cost });
    }
    return pairs;
  });
}

/** Return how unlikely it is that two blobs are one digit; 1 and more is a no. */
function costOf(one, other, height) {
  const high = Math.max(one.bottom, other.bottom) - Math.min(one.top, other.top);
  const wide = Math.max(one.right, other.right) - Math.min(one.left, other.left);
  if (high > 1.35 * height || wide > 1.25 * height) return 1;
  const [small, large] = [one, other].sort((a, b) => sizeOfBlob(a) - sizeOfBlob(b)).map(heightOf);
  if (small > 0.72 * height && small > 0.72 * large) return 1;
  const aside = Math.max(one.left, other.left) - Math.min(one.right, other.right);
  const apart = Math.max(one.top, other.top) - Math.min(one.bottom, other.bottom);
  if (apart > 0 && aside > 0 && apart + aside > 0.22 * height) return 1;
  const stacked = -aside / Math.max(1, Math.min(widthOf(one), widthOf(other))) > 0.5 && apart < 0.4 * height;
  return gapOf(one, other) / ((stacked ? 0.45 : 0.22) * height);
}

/** Return the distance in pixels between the nearest ink of two blobs. */
function gapOf(one, other) {
  const [first, second] = [one, other].map(outlineOf);
  let least = Infinity;
  for (const [y, x] of first)
    for (const [row, column] of second) least = Math.min(least, (y - row) ** 2 + (x - column) ** 2);
  return Math.sqrt(least);
}

/** Return the pixels [y, x] of a blob's outline, 200 to 400 of them at most. */
function outlineOf({ left, top, mask }) {
  const { values, height, width } = framed(mask, 1);
  const points = [];
  for (let y = 1; y < height - 1; y++) {
    for (let i = y * width + 1; i < (y + 1) * width - 1; i++) {
      const inside = values[i - 1] && values[i + 1] && values[i - width] && values[i + width];
      if (values[i] && !inside) points.push([top + y - 1, left + (i % width) - 1]);
    }
  }
  const step = Math.max(1, Math.floor(points.length / 200));
  return points.filter((_, i) => i % step === 0);
}
