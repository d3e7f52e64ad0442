// From what is on the paper to digits. What did not change since the last reading is not computed again.

const INK_LEVEL = 127; // brighter pixels of a 28×28 image are ink
const FLATTEST = 0.5; // height of a digit's ink relative to its width, at least
const THICKEST = 5.5; // radius in pixels of the largest disc within the ink, at most

class Reader {
  constructor(networks) {
    this.networks = networks;
    this.found = []; // of the last reading: [{box, line, image, results}]
    this.passes = 0;
    this.cutter = new Cutter();
  }

  /** Find the digits of a drawing; a network tells digits that touch. There are none in a picture not yet read. */
  find(drawing, network) {
    this.passes++;
    if (drawing.empty || drawing.waiting) return (this.found = []);
    const { left, top, scale } = drawing.picture ?? { left: 0, top: 0, scale: 1 / PLANE_WIDTH };
    const segmented = drawing.picture?.found ?? drawnSegments(drawing.pixels(), network, this.cutter, drawing.down);
    const found = segmented.map(({ box, ink, line, image: seen }) => {
      const drawn = seen ?? digitImage(ink);
      const known = this.found.find((digit) => sameBytes(digit.image, drawn));
      const image = known ? known.image : drawn;
      return {
        line,
        image,
        box: {
          left: left + box.left * scale,
          top: top + box.top * scale,
          right: left + box.right * scale,
          bottom: top + box.bottom * scale,
        },
        shape: known ? known.shape : hasShape(image),
        results: known ? known.results : new Map(),
      };
    });
    return (this.found = found);
  }

  /** Return how a network reads a digit: {value, probabilities, believed, text}; computed once. */
  result(digit, index, epoch) {
    const key = `${index} ${epoch}`;
    if (!digit.results.has(key)) {
      this.keep(digit, index, epoch, this.networks[index].runQuick(digit.image, epoch));
    }
    return digit.results.get(key);
  }

  /** Keep what a network computed of a digit, so that it is not computed again. */
  keep(digit, index, epoch, logits) {
    digit.results.set(`${index} ${epoch}`, this.judged(digit, this.networks[index], logits));
  }

  /** Return whether a network's result for a digit is there already. */
  knows(digit, index, epoch) {
    return digit.results.has(`${index} ${epoch}`);
  }

  judged(digit, network, logits) {
    const probabilities = softmax(logits, network.temperature);
    const value = probabilities.indexOf(Math.max(...probabilities));
    const believed = digit.shape && probabilities[value] >= (network.description.threshold ?? 0);
    return { value, probabilities, believed, text: believed ? String(value) : "?" };
  }
}

function sameBytes(one, other) {
  for (let index = 0; index < one.length; index++) if (one[index] !== other[index]) return false;
  return true;
}

/** Return whether a 28×28 image could be a digit by its shape: not flat as a dash, not filled as a blot. */
function hasShape(image) {
  const ink = (y, x) => y >= 0 && x >= 0 && y < SIDE && x < SIDE && image[y * SIDE + x] > INK_LEVEL;
  let [top, bottom, left, right] = [SIDE, -1, SIDE, -1];
  for (let at = 0; at < image.length; at++) {
    const [y, x] = [Math.floor(at / SIDE), at % SIDE];
    if (!ink(y, x)) continue;
    [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
    [left, right] = [Math.min(left, x), Math.max(right, x)];
  }
  if (bottom < 0 || bottom - top + 1 < FLATTEST * (right - left + 1)) return false;
  const disc = discOf(THICKEST);
  for (let y = top; y <= bottom; y++) {
    for (let x = left; x <= right; x++) {
      if (disc.every(([down, across]) => ink(y + down, x + across))) return false;
    }
  }
  return true;
}

/** Return the steps (down, across) to all pixels within a distance. */
function discOf(radius) {
  const steps = [];
  const most = Math.floor(radius);
  for (let down = -most; down <= most; down++) {
    for (let across = -most; across <= most; across++) {
      if (Math.hypot(down, across) <= radius) steps.push([down, across]);
    }
  }
  return steps;
}
