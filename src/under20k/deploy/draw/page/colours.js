// Colours of values: 0 is nearly black, positive values go through blue to white, negative ones through orange.

const POSITIVE = [[11, 16, 23], [0, 83, 138], [86, 170, 230], [255, 255, 255]];
const NEGATIVE = [[11, 16, 23], [140, 66, 0], [235, 140, 40], [255, 226, 180]];
const SHADES = 256;

/** Return SHADES colours along a list of them, as bytes r, g, b, r, g, b, … */
function shades(stops) {
  const bytes = new Uint8Array(3 * SHADES);
  for (let shade = 0; shade < SHADES; shade++) {
    const position = (shade / (SHADES - 1)) * (stops.length - 1);
    const first = Math.min(Math.floor(position), stops.length - 2);
    for (let part = 0; part < 3; part++) {
      const from = stops[first][part];
      bytes[3 * shade + part] = from + (stops[first + 1][part] - from) * (position - first);
    }
  }
  return bytes;
}

const POSITIVE_SHADES = shades(POSITIVE);
const NEGATIVE_SHADES = shades(NEGATIVE);

/** Write the colour of a value, relative to the largest, to pixel `at` of RGBA bytes. */
function paintValue(bytes, at, value) {
  const table = value < 0 ? NEGATIVE_SHADES : POSITIVE_SHADES;
  const shade = 3 * Math.min(Math.round(Math.abs(value) * (SHADES - 1)), SHADES - 1);
  bytes[4 * at] = table[shade];
  bytes[4 * at + 1] = table[shade + 1];
  bytes[4 * at + 2] = table[shade + 2];
  bytes[4 * at + 3] = 255;
}

/** Give a table's cell the colour of its value, and its text one that is read on it. */
function colourCell(cell, value) {
  const bytes = new Uint8ClampedArray(4);
  paintValue(bytes, 0, value);
  const bright = 0.2126 * bytes[0] + 0.7152 * bytes[1] + 0.0722 * bytes[2];
  cell.style.backgroundColor = `rgb(${bytes[0]} ${bytes[1]} ${bytes[2]})`;
  cell.style.color = bright > 105 ? "#000" : "#fff";
}

/** Return the largest absolute value, at least a little above 0. */
function largest(values) {
  let most = 1e-6;
  for (let index = 0; index < values.length; index++) most = Math.max(most, Math.abs(values[index]));
  return most;
}
