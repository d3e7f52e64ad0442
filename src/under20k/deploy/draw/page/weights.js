// The embedded models, unpacked. deploy/draw/encoding.py packs them, and says how.

const UNSAFE = "\"$%&'<>\\`";
const DIGITS = Array.from({ length: 94 }, (_, index) => String.fromCharCode(33 + index)).filter((digit) => !UNSAFE.includes(digit));
const VALUES = new Map(DIGITS.map((digit, value) => [digit, value]));
const PLANES = 4;

/** Return the models of the page's JSON: their graphs, tensors, weights and films as they are used. */
function unpackedModels(json) {
  return Promise.all(JSON.parse(json).models.map(unpacked));
}

async function unpacked(model) {
  const { graph, tensors } = JSON.parse(new TextDecoder().decode(await inflated(model.network)));
  const rows = tensors.flatMap(([, shape]) => rowsOf(shape));
  const bytes = await inflated(model.weights);
  const weights = weightsOf(numbersOf(bytes.subarray(rows.length)), rows, exponentsOf(bytes, rows));
  const film = model.film && { ...model.film, weights: filmOf(await inflated(model.film.weights), weights, rows) };
  return { ...model, graph, tensors, weights, film };
}

/** Return the weights of each epoch of a film, given the last one's. */
function filmOf(bytes, last, rows) {
  const exponents = exponentsOf(bytes, rows);
  const steps = scaled(last, rows, exponents, new Float64Array(last.length), (weight, step) => Math.round(weight / step));
  const epochs = [last];
  const length = PLANES * steps.length;
  for (let start = rows.length; start < bytes.length; start += length) {
    numbersOf(bytes.subarray(start, start + length)).forEach((difference, index) => (steps[index] += difference));
    epochs.unshift(weightsOf(steps, rows, exponents));
  }
  return epochs;
}

/** Return the sizes of a tensor's rows, which have a step each: one for each output channel, one of a vector. */
function rowsOf(shape) {
  const count = shape.length < 2 ? 1 : shape[0];
  const size = shape.reduce((product, side) => product * side, 1) / count;
  return Array(count).fill(size);
}

function exponentsOf(bytes, rows) {
  return new Int8Array(bytes.buffer, bytes.byteOffset, rows.length);
}

/** Return the weights that so many steps are. */
function weightsOf(steps, rows, exponents) {
  return scaled(steps, rows, exponents, new Float32Array(steps.length), (number, step) => number * step);
}

function scaled(values, rows, exponents, result, change) {
  let index = 0;
  rows.forEach((size, row) => {
    const step = 2 ** exponents[row];
    for (const end = index + size; index < end; index++) result[index] = change(values[index], step);
  });
  return result;
}

/** Return the whole numbers in bytes: planes of them, the lowest bytes first, the sign in the lowest bit. */
function numbersOf(bytes) {
  const count = bytes.length / PLANES;
  return Float64Array.from({ length: count }, (_, index) => {
    let folded = 0;
    for (let plane = PLANES - 1; plane >= 0; plane--) folded = folded * 256 + bytes[plane * count + index];
    return folded % 2 ? -(folded + 1) / 2 : folded / 2;
  });
}

/** Return the bytes of a text in base 85, inflated. */
async function inflated(text) {
  const stream = new Blob([bytesOf(text)]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Return the bytes of a text in base 85: five digits are four bytes, the highest first. */
function bytesOf(text) {
  const bytes = new Uint8Array(Math.floor((text.length * 4) / 5));
  for (let start = 0, at = 0; start < text.length; start += 5) {
    let number = 0;
    for (let index = start; index < start + 5; index++) number = number * 85 + (VALUES.get(text[index]) ?? 84);
    for (let place = 2 ** 24; place >= 1 && at < bytes.length; place /= 256) bytes[at++] = Math.floor(number / place) % 256;
  }
  return bytes;
}
