// The graph of a network, read: shapes, parameters, multiply-accumulates and receptive fields of its nodes.
// Shapes: (C, H, W) of maps, (F,) of plain numbers. The node "image" is the input, (1, 28, 28).

const SIDE = 28;
const IMAGE = "image";
const PARAMETERS = {
  conv: ["weight", "bias"],
  linear: ["weight", "bias"],
  batch_norm: ["weight", "bias"],
  activation: ["weight"],
};

const sizeOf = (shape) => shape.reduce((product, side) => product * side, 1);
const isMap = (shape) => shape.length === 3;

/** Return the layers of a graph: what each node is and what it costs. Shapes of tensors are by name. */
function layersOf(graph, tensorShapes) {
  const known = new Map([
    [IMAGE, { shape: [1, SIDE, SIDE], fields: [0, 1].map(() => ({ side: 1, jump: 1, start: 0 })) }],
  ]);
  const counted = new Set();
  return graph.map((node) => {
    const inputs = node.inputs.map((name) => known.get(name));
    const shape = outputShape(
      node,
      inputs.map((input) => input.shape),
    );
    const fields = [0, 1].map((axis) => fieldAlong(axis, node, inputs));
    known.set(node.name, { shape, fields });
    return {
      name: node.name,
      op: node.op,
      inputs: node.inputs,
      title: titleOf(node, shape),
      shape,
      parameters: ownParameters(node, tensorShapes, counted),
      macs: macsOf(node, shape, inputs[0].shape),
      field: fields[0],
      fieldAcross: fields[1],
    };
  });
}

/** Return the shape of a node's output, given those of its inputs. */
function outputShape(node, inputs) {
  const [first] = inputs;
  const along = (length, axis) => {
    const { kernel, stride, padding, dilation = [1, 1] } = node;
    const room = length + 2 * padding[axis] - dilation[axis] * (kernel[axis] - 1) - 1;
    if (!node.ceil) return Math.floor(room / stride[axis]) + 1;
    const steps = Math.ceil(room / stride[axis]) + 1;
    // As PyTorch: a window begins within the map or the padding before it.
    return (steps - 1) * stride[axis] >= length + padding[axis] ? steps - 1 : steps;
  };
  if (node.op === "conv") return [node.channels, along(first[1], 0), along(first[2], 1)];
  if (node.op === "pool") return [first[0], along(first[1], 0), along(first[2], 1)];
  if (node.op === "linear") return [node.features];
  if (node.op === "adaptive_pool") return [first[0], ...node.size];
  if (node.op === "reshape") return node.shape;
  if (node.op === "concatenate") return [inputs.reduce((sum, shape) => sum + shape[0], 0), ...first.slice(1)];
  return inputs.reduce((largest, shape) => (sizeOf(shape) > sizeOf(largest) ? shape : largest));
}

/** Count the trainable numbers of a node; those that several nodes share count at the first. */
function ownParameters(node, tensorShapes, counted) {
  let amount = 0;
  for (const name of (PARAMETERS[node.op] ?? []).map((field) => node[field])) {
    if (!name || counted.has(name)) continue;
    counted.add(name);
    amount += sizeOf(tensorShapes.get(name));
  }
  return amount;
}

/** Count the multiply-accumulates of a node for one image. */
function macsOf(node, shape, input) {
  if (node.op === "linear") return node.features * input[0];
  if (node.op !== "conv") return 0;
  return (sizeOf(shape) * input[0] * node.kernel[0] * node.kernel[1]) / node.groups;
}

/** Return the receptive field along an axis in pixels: side, step to the next one's, start of the first. */
function fieldAlong(axis, node, inputs) {
  const fields = inputs.map((input) => input.fields[axis]);
  const start = Math.min(...fields.map((field) => field.start));
  const end = Math.max(...fields.map((field) => field.start + field.side));
  const jump = Math.max(...fields.map((field) => field.jump));
  const field = { side: end - start, jump, start };
  const { shape } = inputs[0];
  if (node.op === "conv" || node.op === "pool") {
    const reach = (node.dilation ?? [1, 1])[axis] * (node.kernel[axis] - 1) * jump;
    return {
      side: field.side + reach,
      jump: jump * node.stride[axis],
      start: start - node.padding[axis] * jump,
    };
  }
  const length = isMap(shape) ? shape[1 + axis] : 1;
  if (node.op === "adaptive_pool") {
    const size = node.size[axis];
    const edge = (at) => (at * length) / size;
    const spans = Array.from({ length: size }, (_, i) => Math.ceil(edge(i + 1)) - Math.floor(edge(i)));
    const step = size === 1 ? 1 : Math.max(1, Math.floor(length / size));
    return { side: field.side + (leastOf(spans) - 1) * jump, jump: jump * step, start };
  }
  if (node.op === "reshape" || node.op === "linear")
    return { ...field, side: field.side + (length - 1) * jump };
  return field;
}

/** Return the part of an input's map, {top, left, bottom, right}, that a part of a node's map is computed from. */
function sourceBox(node, box, input, output) {
  const whole = {
    top: 0,
    left: 0,
    bottom: isMap(input) ? input[1] : 1,
    right: isMap(input) ? input[2] : 1,
  };
  if (node.op === "linear" || (node.op === "reshape" && !isMap(output))) return whole;
  if (node.op === "conv" || node.op === "pool") {
    const { kernel, stride, padding, dilation = [1, 1] } = node;
    const first = (at, axis) => Math.max(0, at * stride[axis] - padding[axis]);
    const last = (at, axis) =>
      (at - 1) * stride[axis] - padding[axis] + dilation[axis] * (kernel[axis] - 1) + 1;
    return {
      top: first(box.top, 0),
      left: first(box.left, 1),
      bottom: Math.min(whole.bottom, last(box.bottom, 0)),
      right: Math.min(whole.right, last(box.right, 1)),
    };
  }
  if (node.op === "adaptive_pool") {
    const [rows, columns] = [input[1] / node.size[0], input[2] / node.size[1]];
    return {
      top: Math.floor(box.top * rows),
      left: Math.floor(box.left * columns),
      bottom: Math.ceil(box.bottom * rows),
      right: Math.ceil(box.right * columns),
    };
  }
  // A map that was one number a channel multiplies all of another.
  return {
    top: Math.min(box.top, whole.bottom - 1),
    left: Math.min(box.left, whole.right - 1),
    bottom: Math.min(box.bottom, whole.bottom),
    right: Math.min(box.right, whole.right),
  };
}

/** Return the rows [from, to) of a node's output that depend on the rows of its inputs that changed. */
function rowsAfter(node, inputs, { shape }) {
  if (!isMap(shape)) return [0, 1];
  const all = [0, shape[1]];
  if (inputs.some((input) => !isMap(input.shape))) return all;
  const from = Math.min(...inputs.map((input) => input.rows[0]));
  const to = Math.max(...inputs.map((input) => input.rows[1]));
  if (node.op === "conv" || node.op === "pool") {
    const [stride, padding] = [node.stride[0], node.padding[0]];
    const reach = (node.dilation ?? [1])[0] * (node.kernel[0] - 1);
    const first = Math.max(0, Math.ceil((from + padding - reach) / stride));
    return [first, Math.max(first, Math.min(shape[1], Math.floor((to - 1 + padding) / stride) + 1))];
  }
  const sameRows = node.op !== "reshape" && inputs.every((input) => input.shape[1] === shape[1]);
  return sameRows ? [from, to] : all;
}

const FUNCTIONS = {
  relu: "ReLU",
  relu6: "ReLU6",
  leaky_relu: "Leaky ReLU",
  prelu: "PReLU",
  gelu: "GELU",
  gelu_tanh: "GELU",
  silu: "SiLU",
  hardswish: "Hardswish",
  hardsigmoid: "Hardsigmoid",
  sigmoid: "Sigmoid",
  tanh: "Tanh",
  elu: "ELU",
  rsqrt: "1/√x",
};

/** Return what a node is called, in plain English. */
function titleOf(node, shape) {
  const by = (sides) => sides.join("×");
  switch (node.op) {
    case "conv":
      return `Convolution ${by(node.kernel)}`;
    case "linear":
      return "Fully connected";
    case "batch_norm":
      return "BatchNorm";
    case "activation":
      return FUNCTIONS[node.function] ?? node.function;
    case "pool":
      return `${node.kind === "max" ? "Max" : "Average"} pooling ${by(node.kernel)}`;
    case "adaptive_pool":
      return `${sizeOf(node.size) === 1 ? "Global" : "Adaptive"} ${node.kind === "max" ? "maximum" : "average"}`;
    case "dropout":
      return "Dropout (training only)";
    case "add":
      return "Sum";
    case "multiply":
      return "Product";
    case "concatenate":
      return "Concatenation";
    case "scale":
      return "Scale";
    case "reshape":
      return shape.length === 1 ? "Flatten" : "Reshape";
    case "softmax":
      return "Softmax";
    case "log_softmax":
      return "Log-softmax";
    default:
      return node.op;
  }
}
