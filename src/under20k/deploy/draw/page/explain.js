// Which pixels spoke for and against a class: gradients of its log-odds, from the class back to the image.

const STEPS = 8;

/**
 * Return the evidence of each pixel, (784,), for a class; it is positive for what speaks for it. The sum is what the log-odds of the
 * class are above those of an empty image, in nats: integrated gradients over STEPS images between both.
 */
function evidence(network, image, klass) {
  const { epoch } = network;
  const total = new Float32Array(SIDE * SIDE);
  const part = new Float32Array(SIDE * SIDE);
  for (let step = 0; step < STEPS; step++) {
    part.forEach((_, i) => (part[i] = (image[i] * (step + 0.5)) / STEPS));
    network.run(part, epoch);
    const gradient = gradientOf(network, klass);
    for (let i = 0; i < total.length; i++) total[i] += (gradient[i] * image[i]) / 255 / DEVIATION / STEPS;
  }
  network.run(image, epoch);
  return total;
}

/** Return the gradient (784,) of the log-odds of a class, by the normalised pixels of the last run. */
function gradientOf(network, klass) {
  const { plan, graph } = network;
  const name = logitsName(graph);
  const tensors = network.tensorsOf(network.epoch);
  const gradients = new Map();
  const gradientFor = ({ name: key, values }) => {
    if (!gradients.has(key)) gradients.set(key, new Float32Array(values.length));
    return gradients.get(key);
  };
  gradientFor(plan.values[name]).set(logOddsGradient(plan.values[name].values, klass));
  for (const { node, inputs, output } of [...plan.steps.values()].reverse()) {
    const gradient = gradients.get(output.name);
    if (!gradient) continue;
    GRADIENTS[node.op](node, inputs, output, (each) => tensors.get(each), gradient, inputs.map(gradientFor));
  }
  return gradients.get(IMAGE);
}

/** Return the gradient of log p / (1 − p) by the logits: 1 of the class, minus the probabilities among the others. */
function logOddsGradient(logits, klass) {
  const others = Float64Array.from(logits, (logit, index) => (index === klass ? -Infinity : logit));
  const normaliser = logSumExp(others);
  return Float32Array.from(others, (logit, index) => (index === klass ? 1 : -Math.exp(logit - normaliser)));
}

/** The gradients of operations: each adds to those of its inputs, given that of its output. */
const GRADIENTS = {
  conv(node, [input], output, tensor, gradient, [result]) {
    convolveBack(node, input.shape, output.shape, tensor(node.weight), gradient, result);
  },

  linear(node, [input], output, tensor, gradient, [result]) {
    const weight = tensor(node.weight);
    gradient.forEach((factor, row) => {
      for (let i = 0; i < result.length; i++) result[i] += factor * weight[row * result.length + i];
    });
  },

  batch_norm(node, [input], output, tensor, gradient, [result]) {
    const area = sizeOf(input.shape) / input.shape[0];
    for (let channel = 0; channel < input.shape[0]; channel++) {
      const { scale } = normalisation(node, tensor, channel);
      for (let i = channel * area; i < (channel + 1) * area; i++) result[i] += scale * gradient[i];
    }
  },

  activation(node, [input], output, tensor, gradient, [result]) {
    const area = sizeOf(input.shape) / input.shape[0];
    for (let channel = 0; channel < input.shape[0]; channel++) {
      const apply = activationOf(node, tensor, channel);
      for (let i = channel * area; i < (channel + 1) * area; i++) {
        const x = input.values[i];
        result[i] += ((apply(x + 1e-6) - apply(x - 1e-6)) / 2e-6) * gradient[i];
      }
    }
  },

  pool(node, [input], output, tensor, gradient, [result]) {
    const [channels, rows, columns] = output.shape;
    const area = input.shape[1] * input.shape[2];
    for (let y = 0, at = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++, at++) {
        const place = poolWindow(node, input.shape, y, x);
        for (let channel = 0; channel < channels; channel++) {
          const factor = gradient[channel * rows * columns + at];
          if (node.kind === "max") result[highest(input, channel * area, place)] += factor;
          else spread(result, input.shape[2], channel * area, place, factor / place.divisor);
        }
      }
    }
  },

  adaptive_pool(...rest) {
    GRADIENTS.pool(...rest);
  },

  add(node, inputs, output, tensor, gradient, results) {
    for (const result of results) {
      const area = output.values.length / result.length;
      for (let i = 0; i < gradient.length; i++) result[Math.floor(i / area)] += gradient[i];
    }
  },

  multiply(node, inputs, output, tensor, gradient, results) {
    const valueOf = ({ values }, i) => values[Math.floor((i * values.length) / gradient.length)];
    results.forEach((result, own) => {
      const area = output.values.length / result.length;
      for (let i = 0; i < gradient.length; i++) {
        const factor = inputs.reduce((product, input, index) => (index === own ? product : product * valueOf(input, i)), 1);
        result[Math.floor(i / area)] += factor * gradient[i];
      }
    });
  },

  concatenate(node, inputs, output, tensor, gradient, results) {
    let at = 0;
    for (const result of results) for (let i = 0; i < result.length; i++) result[i] += gradient[at++];
  },

  scale(node, inputs, output, tensor, gradient, [result]) {
    for (let i = 0; i < result.length; i++) result[i] += node.factor * gradient[i];
  },

  reshape(node, inputs, output, tensor, gradient, [result]) {
    for (let i = 0; i < result.length; i++) result[i] += gradient[i];
  },

  dropout(...rest) {
    GRADIENTS.reshape(...rest);
  },
};

/** Return the index of the highest value in a window of the map that begins at an offset. */
function highest({ values, shape }, offset, { top, left, bottom, right }) {
  let best = offset + top * shape[2] + left;
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      const at = offset + y * shape[2] + x;
      if (values[at] > values[best]) best = at;
    }
  }
  return best;
}

/** Add a number to all of a window. */
function spread(result, width, offset, { top, left, bottom, right }, value) {
  for (let y = top; y < bottom; y++) for (let x = left; x < right; x++) result[offset + y * width + x] += value;
}

/** Add to the gradient of a convolution's input, given that of its output: a convolution the other way round. */
function convolveBack(node, input, output, weight, gradient, result) {
  const { kernel, dilation, groups } = node;
  const back = { channels: input[0], kernel, dilation, groups, stride: [1, 1], padding: [0, 0] };
  const part = { values: new Float32Array(result.length), shape: input };
  convolve(back, spreadOut(node, input, output, gradient), part, turnedKernels(node, input, weight), null);
  for (let i = 0; i < result.length; i++) result[i] += part.values[i];
}

/** Return a gradient (O, rows, columns) with the strides' zeros between and the kernel's zeros around. */
function spreadOut(node, input, [channels, rows, columns], gradient) {
  const around = [0, 1].map((axis) => node.dilation[axis] * (node.kernel[axis] - 1));
  const [height, width] = [input[1] + around[0], input[2] + around[1]];
  const values = new Float32Array(channels * height * width);
  const places = (amount, axis, length) =>
    Array.from({ length: amount }, (_, at) => at * node.stride[axis] - node.padding[axis] + around[axis]).map((at) => (at < length ? at : -1));
  const [down, across] = [places(rows, 0, height), places(columns, 1, width)];
  for (let channel = 0, i = 0; channel < channels; channel++) {
    for (const row of down) {
      const start = (channel * height + row) * width;
      for (let x = 0; x < columns; x++, i++) if (row >= 0 && across[x] >= 0) values[start + across[x]] = gradient[i];
    }
  }
  return { values, shape: [channels, height, width] };
}

/** Return kernels (O, I / groups, h, w) as (I, O / groups, h, w), upside down and back to front. */
function turnedKernels({ channels, groups, kernel }, input, weight) {
  const area = kernel[0] * kernel[1];
  const [inputs, outputs] = [input[0] / groups, channels / groups];
  const result = new Float32Array(weight.length);
  for (let to = 0, at = 0; to < input[0]; to++) {
    const first = Math.floor(to / inputs) * outputs;
    for (let from = first; from < first + outputs; from++) {
      const own = (from * inputs + (to % inputs)) * area;
      for (let tap = area - 1; tap >= 0; tap--) result[at++] = weight[own + tap];
    }
  }
  return result;
}
