// The operations of a graph's nodes, at evaluation. Each takes the node, its inputs and its output, as
// {values: Float32Array, shape, rows}, and tensor(name), the weights; scratch(length) is memory for its own
// use. At least the rows [from, to) of the output are computed anew.

const ACTIVATIONS = {
  relu: () => (x) => (x > 0 ? x : 0),
  relu6: () => (x) => (x > 0 ? (x < 6 ? x : 6) : 0),
  leaky_relu: (slope) => (x) => (x > 0 ? x : slope * x),
  gelu: () => (x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2)),
  gelu_tanh: () => (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x))),
  silu: () => (x) => x / (1 + Math.exp(-x)),
  hardswish: () => (x) => (x * Math.min(Math.max(x + 3, 0), 6)) / 6,
  hardsigmoid: () => (x) => Math.min(Math.max(x + 3, 0), 6) / 6,
  sigmoid: () => (x) => 1 / (1 + Math.exp(-x)),
  tanh: () => Math.tanh,
  rsqrt: () => (x) => 1 / Math.sqrt(x),
  elu: (slope) => (x) => (x > 0 ? x : slope * Math.expm1(x)),
};
ACTIVATIONS.prelu = ACTIVATIONS.leaky_relu;

/** Return the function that an activation node applies to the values of a channel. */
function activationOf(node, tensor, channel) {
  const slopes = node.weight ? tensor(node.weight) : [node.slope];
  return ACTIVATIONS[node.function](slopes[slopes.length === 1 ? 0 : channel]);
}

/** Return the error function, to 1.5e-7 (Abramowitz and Stegun, 7.1.26). */
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const sum =
    t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return Math.sign(x) * (1 - sum * Math.exp(-x * x));
}

const OPERATIONS = {
  conv(node, [input], output, tensor, scratch) {
    convolve(node, input, output, tensor(node.weight), node.bias ? tensor(node.bias) : null, scratch);
  },

  linear(node, [input], output, tensor) {
    const weight = tensor(node.weight);
    const bias = node.bias ? tensor(node.bias) : null;
    const { length } = input.values;
    for (let row = 0; row < node.features; row++) {
      let sum = bias ? bias[row] : 0;
      for (let i = 0; i < length; i++) sum += weight[row * length + i] * input.values[i];
      output.values[row] = sum;
    }
  },

  batch_norm(node, [input], output, tensor) {
    const area = sizeOf(input.shape) / input.shape[0];
    for (let channel = 0; channel < input.shape[0]; channel++) {
      const { scale, shift } = normalisation(node, tensor, channel);
      for (let i = channel * area; i < (channel + 1) * area; i++)
        output.values[i] = scale * input.values[i] + shift;
    }
  },

  activation(node, [input], output, tensor) {
    const area = sizeOf(input.shape) / input.shape[0];
    for (let channel = 0; channel < input.shape[0]; channel++) {
      const apply = activationOf(node, tensor, channel);
      const [from, to] = isMap(output.shape) ? output.rows.map((row) => row * output.shape[2]) : [0, area];
      for (let i = channel * area + from; i < channel * area + to; i++)
        output.values[i] = apply(input.values[i]);
    }
  },

  pool(node, [input], output) {
    const [channels, rows, columns] = output.shape;
    const area = input.shape[1] * input.shape[2];
    const [from, to] = output.rows;
    for (let y = from, at = from * columns; y < to; y++) {
      for (let x = 0; x < columns; x++, at++) {
        const window = poolWindow(node, input.shape, y, x);
        for (let channel = 0; channel < channels; channel++) {
          output.values[channel * rows * columns + at] = pooled(node.kind, input, channel * area, window);
        }
      }
    }
  },

  adaptive_pool(node, inputs, output) {
    OPERATIONS.pool(node, inputs, output);
  },

  add(node, inputs, output) {
    combine(inputs, output, (a, b) => a + b);
  },

  multiply(node, inputs, output) {
    combine(inputs, output, (a, b) => a * b);
  },

  concatenate(node, inputs, output) {
    let at = 0;
    for (const { values } of inputs) {
      output.values.set(values, at);
      at += values.length;
    }
  },

  scale(node, [input], output) {
    for (let i = 0; i < input.values.length; i++)
      output.values[i] = node.factor * input.values[i] + node.offset;
  },

  reshape: (node, [input], output) => output.values.set(input.values),
  dropout: (node, [input], output) => output.values.set(input.values),
  softmax: (node, [input], output) => output.values.set(softmax(input.values)),

  log_softmax(node, [input], output) {
    const normaliser = logSumExp(input.values);
    for (let i = 0; i < input.values.length; i++) output.values[i] = input.values[i] - normaliser;
  },
};

/** Return log Σ exp of numbers. */
function logSumExp(values) {
  const most = Math.max(...values);
  return most + Math.log(values.reduce((sum, value) => sum + Math.exp(value - most), 0));
}

/** Return probabilities of logits, which are divided by the temperature before. */
function softmax(logits, temperature = 1) {
  const scaled = Array.from(logits, (logit) => logit / temperature);
  const normaliser = logSumExp(scaled);
  return Float32Array.from(scaled, (logit) => Math.exp(logit - normaliser));
}

/** Return the scale and the shift that a batch_norm node applies to a channel. */
function normalisation(node, tensor, channel) {
  const scale =
    (node.weight ? tensor(node.weight)[channel] : 1) /
    Math.sqrt(tensor(node.running_var)[channel] + node.eps);
  return {
    scale,
    shift: (node.bias ? tensor(node.bias)[channel] : 0) - tensor(node.running_mean)[channel] * scale,
  };
}

/** Combine inputs element by element; a channel of one number counts for all of a map. */
function combine(inputs, output, operation) {
  const area = isMap(output.shape) ? output.shape[1] * output.shape[2] : 1;
  inputs.forEach(({ values }, order) => {
    const wide = values.length === output.values.length;
    for (let i = 0; i < output.values.length; i++) {
      const value = wide ? values[i] : values[Math.floor(i / area)];
      output.values[i] = order ? operation(output.values[i], value) : value;
    }
  });
}

/** Return the part of a map (C, H, W) that a pool's output (y, x) is of, and by what an average divides. */
function poolWindow(node, [, height, width], y, x) {
  if (node.op === "adaptive_pool") {
    const box = sourceBox(node, { top: y, left: x, bottom: y + 1, right: x + 1 }, [1, height, width]);
    return { ...box, divisor: (box.bottom - box.top) * (box.right - box.left) };
  }
  const { kernel, stride, padding } = node;
  const top = y * stride[0] - padding[0];
  const left = x * stride[1] - padding[1];
  // As PyTorch: what a last window has beyond the padding does not count.
  const all =
    (Math.min(top + kernel[0], height + padding[0]) - top) *
    (Math.min(left + kernel[1], width + padding[1]) - left);
  const box = {
    top: Math.max(top, 0),
    left: Math.max(left, 0),
    bottom: Math.min(top + kernel[0], height),
    right: Math.min(left + kernel[1], width),
  };
  const inside = (box.bottom - box.top) * (box.right - box.left);
  return { ...box, divisor: node.count_padding ? all : inside };
}

/** Return the maximum or the average of a window of the map that begins at an offset. */
function pooled(kind, { values, shape }, offset, { top, left, bottom, right, divisor }) {
  let most = -Infinity;
  let sum = 0;
  for (let y = top; y < bottom; y++) {
    for (let at = offset + y * shape[2] + left; at < offset + y * shape[2] + right; at++) {
      const value = values[at];
      if (value > most) most = value;
      sum += value;
    }
  }
  return kind === "max" ? most : sum / divisor;
}

/** Compute a convolution; weight (O, I / groups, h, w), bias (O,) or null. */
function convolve(node, input, output, weight, bias, scratch) {
  const [channels, rows, columns] = output.shape;
  const padded = withPadding(input, node.padding, scratch);
  const inputs = input.shape[0] / node.groups;
  const outputs = channels / node.groups;
  const [kernelRows, kernelColumns] = node.kernel;
  const taps = kernelRows * kernelColumns;
  const plain = Math.max(...node.stride, ...node.dilation) === 1 && kernelRows === 3 && kernelColumns === 3;
  const width = padded.shape[2];
  const area = padded.shape[1] * width;
  for (let channel = 0; channel < channels; channel++) {
    const target = output.values.subarray(channel * rows * columns, (channel + 1) * rows * columns);
    target.fill(bias ? bias[channel] : 0, output.rows[0] * columns, output.rows[1] * columns);
    const group = Math.floor(channel / outputs);
    for (let source = 0; source < inputs; source++) {
      const from = (group * inputs + source) * area;
      const kernel = weight.subarray(
        (channel * inputs + source) * taps,
        (channel * inputs + source + 1) * taps,
      );
      if (plain) addNine(target, padded.values, from, width, kernel, output.rows, columns);
      else addTaps(target, padded.values, from, width, kernel, node, output.rows, columns);
    }
  }
}

/** Return a map (C, H, W) with zeros around it. */
function withPadding({ values, shape }, [down, across], scratch) {
  if (!down && !across) return { values, shape };
  const [channels, height, width] = shape;
  const wide = width + 2 * across;
  const high = height + 2 * down;
  const padded = scratch(channels * high * wide);
  for (let channel = 0, from = 0; channel < channels; channel++) {
    for (let y = 0; y < height; y++, from += width) {
      padded.set(values.subarray(from, from + width), (channel * high + y + down) * wide + across);
    }
  }
  return { values: padded, shape: [channels, high, wide] };
}

/** Add a map, filtered by a 3×3 kernel, to rows [first, last) of a target. */
function addNine(target, values, from, width, kernel, [first, last], columns) {
  const [a, b, c, d, e, f, g, h, i] = kernel;
  for (let y = first, at = first * columns; y < last; y++) {
    let up = from + y * width;
    let middle = up + width;
    let low = middle + width;
    for (let x = 0; x < columns; x++, at++, up++, middle++, low++) {
      target[at] +=
        a * values[up] +
        b * values[up + 1] +
        c * values[up + 2] +
        d * values[middle] +
        e * values[middle + 1] +
        f * values[middle + 2] +
        g * values[low] +
        h * values[low + 1] +
        i * values[low + 2];
    }
  }
}

/** Add a map, filtered by any kernel, to rows [first, last) of a target. */
function addTaps(
  target,
  values,
  from,
  width,
  kernel,
  { kernel: [high, wide], stride, dilation },
  [first, last],
  columns,
) {
  for (let tap = 0; tap < high * wide; tap++) {
    const factor = kernel[tap];
    const offset = from + Math.floor(tap / wide) * dilation[0] * width + (tap % wide) * dilation[1];
    for (let y = first, at = first * columns; y < last; y++) {
      let place = offset + y * stride[0] * width;
      for (let x = 0; x < columns; x++, at++, place += stride[1]) target[at] += factor * values[place];
    }
  }
}
