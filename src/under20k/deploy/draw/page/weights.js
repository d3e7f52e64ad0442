// The embedded models, unpacked. deploy/draw/encoding.py packs them, and says how.

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
