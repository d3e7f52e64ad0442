// The digits among drawn strokes. What is ink is known here, so no light or paper has to be guessed.

const FAINT = 0.04; // of full ink: less than the edges of a stroke have

/** Return what may be digits of dark strokes on white (ImageData), as `segments` returns those of a picture. */
function drawnSegments({ data, width, height }) {
  const ink = planeOf(height, width);
  const mask = planeOf(height, width, Uint8Array);
  for (let i = 0; i < mask.values.length; i++) {
    ink.values[i] = 255 - data[4 * i];
    mask.values[i] = ink.values[i] > 255 * FAINT ? 1 : 0;
  }
  return linesOf(blobsOf({ mask })).flatMap((line, number) => line.map((blob) => drawnSegment(ink, blob, number)));
}

/** Return a blob as a segment, with its own ink alone. */
function drawnSegment(ink, { left, top, right, bottom, own, labels }, line) {
  const part = planeOf(bottom - top, right - left);
  for (let y = top, i = 0; y < bottom; y++) {
    for (let x = left, at = y * ink.width + left; x < right; x++, at++, i++) {
      if (own.has(labels[at])) part.values[i] = ink.values[at];
    }
  }
  return { box: { left, top, right, bottom }, ink: part, line };
}
