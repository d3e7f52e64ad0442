// What one number of a feature map is made of: the values that it was computed from, and their weights.

/**
 * Return {terms, bias} of a node's output at [channel, y, x] (of (F,): channel alone). Each term is a part
 * of an input: {input, channel, top, left, height, width, values, weights}, row after row; Σ values · weights
 * + bias is the output before any function. What lies outside the map has the value 0.
 */
function termsOf(node, inputs, output, tensor, at) {
  const make = TERMS[node.op];
  return make
    ? make(node, inputs, output, tensor, at)
    : { terms: inputs.map((input) => single(input, at, 1)) };
}

const TERMS = {
  conv(node, [input], output, tensor, [channel, y, x]) {
    const amount = input.shape[0] / node.groups;
    const first = Math.floor(channel / (node.channels / node.groups)) * amount;
    const [height, width] = node.kernel;
    const weight = tensor(node.weight);
    const top = y * node.stride[0] - node.padding[0];
    const left = x * node.stride[1] - node.padding[1];
    const terms = Array.from({ length: amount }, (_, index) => {
      const start = (channel * amount + index) * height * width;
      const weights = weight.slice(start, start + height * width);
      return {
        ...windowTerm(input, first + index, { top, left, height, width }, node.dilation),
        weights,
      };
    });
    return { terms, bias: node.bias ? tensor(node.bias)[channel] : 0 };
  },

  linear(node, [input], output, tensor, [feature]) {
    const { length } = input.values;
    const weights = tensor(node.weight).slice(feature * length, (feature + 1) * length);
    const term = {
      input: input.name,
      channel: 0,
      top: 0,
      left: 0,
      height: 1,
      width: length,
      values: input.values.slice(),
      weights,
    };
    return { terms: [term], bias: node.bias ? tensor(node.bias)[feature] : 0 };
  },

  batch_norm(node, [input], output, tensor, at) {
    const { scale, shift } = normalisation(node, tensor, at[0]);
    return { terms: [single(input, at, scale)], bias: shift };
  },

  pool(node, [input], output, tensor, [channel, y, x]) {
    const { top, left, bottom, right, divisor } = poolWindow(node, input.shape, y, x);
    const term = windowTerm(input, channel, { top, left, height: bottom - top, width: right - left });
    const chosen = term.values.indexOf(Math.max(...term.values));
    const weights = term.values.map((_, index) =>
      node.kind === "max" ? Number(index === chosen) : 1 / divisor,
    );
    return { terms: [{ ...term, weights }] };
  },

  adaptive_pool(...rest) {
    return TERMS.pool(...rest);
  },

  /** Each input times the product of the others would count twice; the first is multiplied by the rest. */
  multiply(node, [first, ...others], output, tensor, at) {
    const factor = others.reduce((product, input) => product * single(input, at, 1).values[0], 1);
    return { terms: [single(first, at, factor)] };
  },

  concatenate(node, inputs, output, tensor, [channel, y, x]) {
    let offset = channel;
    for (const input of inputs) {
      if (offset < input.shape[0]) return { terms: [single(input, [offset, y, x], 1)] };
      offset -= input.shape[0];
    }
    return { terms: [] };
  },

  scale(node, [input], output, tensor, at) {
    return { terms: [single(input, at, node.factor)], bias: node.offset };
  },

  reshape(node, [input], output, tensor, at) {
    return { terms: [single(input, placeOf(indexOf(at, output.shape), input.shape), 1)] };
  },
};

/** Return the index of [channel, y, x] in the values of a shape; a side of 1 counts for any position. */
function indexOf([channel, y, x], shape) {
  if (!isMap(shape)) return channel;
  return (channel * shape[1] + Math.min(y, shape[1] - 1)) * shape[2] + Math.min(x, shape[2] - 1);
}

/** Return the [channel, y, x] of an index. */
function placeOf(index, shape) {
  if (!isMap(shape)) return [index, 0, 0];
  const area = shape[1] * shape[2];
  return [Math.floor(index / area), Math.floor((index % area) / shape[2]), index % shape[2]];
}

/** Return the term that is one number of an input. */
function single(input, [channel, y, x], weight) {
  const index = indexOf([channel, y, x], input.shape);
  const [own, top, left] = placeOf(index, input.shape);
  return {
    input: input.name,
    channel: own,
    top,
    left,
    height: 1,
    width: 1,
    values: input.values.slice(index, index + 1),
    weights: Float32Array.of(weight),
  };
}

/** Return the term, without weights, that is a window of a channel. */
function windowTerm({ name, values, shape }, channel, { top, left, height, width }, dilation = [1, 1]) {
  const [, rows, columns] = shape;
  const part = new Float32Array(height * width);
  for (let i = 0; i < part.length; i++) {
    const y = top + Math.floor(i / width) * dilation[0];
    const x = left + (i % width) * dilation[1];
    if (y >= 0 && y < rows && x >= 0 && x < columns) part[i] = values[(channel * rows + y) * columns + x];
  }
  return { input: name, channel, top, left, height, width, dilation, values: part };
}
