// The digits among drawn strokes. What is ink is known here, so no light or paper has to be guessed.

const DRAWN = 0.4; // of full ink: from here on a pixel belongs to a stroke

/** Return what may be digits of dark strokes on white (ImageData), as `segments` returns those of a picture. */
function drawnSegments({ data, width, height }) {
  const darkness = planeOf(height, width);
  const mask = planeOf(height, width, Uint8Array);
  for (let i = 0; i < mask.values.length; i++) {
    darkness.values[i] = 1 - data[4 * i] / 255;
    mask.values[i] = darkness.values[i] > DRAWN ? 1 : 0;
  }
  const page = { darkness, mask, factor: 1 };
  return linesOf(blobsOf(page)).flatMap((line, number) => line.map((blob) => segmentOf(page, blob, number, darkness)));
}
