// A network of the page: computes all its maps, or only its logits, with the last weights or those of an epoch.

const MEAN = 0.1307;
const DEVIATION = 0.3081;

class Network {
  /** weights (Float32Array) holds the tensors one after the other; film has those of each epoch. */
  constructor(description, weights, film = []) {
    this.description = description;
    this.name = description.name;
    this.graph = description.graph;
    this.temperature = description.temperature ?? 1;
    this.epochs = description.film?.epochs ?? [];
    this.layers = layersOf(this.graph, new Map(description.tensors));
    this.tensors = new Map([[undefined, namedTensors(description.tensors, weights)]]);
    film.forEach((each, index) =>
      this.tensors.set(this.epochs[index], namedTensors(description.tensors, each)),
    );
    this.plan = new Plan(this.graph, this.layers);
    this.quick = new Map();
    this.covered = new WeakMap();
    this.epoch = undefined;
  }

  /** Compute everything for an image (784 levels from 0 to 255). The values stay until the next run. */
  run(image, epoch) {
    this.epoch = epoch;
    const values = this.plan.run(image, this.tensorsOf(epoch));
    const logits = Float32Array.from(values[logitsName(this.graph)].values);
    return { logits, probabilities: softmax(logits, this.temperature), values };
  }

  /** Compute only the logits, (10,). */
  runQuick(image, epoch) {
    const { plan, tensors, name } = this.quickOf(epoch);
    return Float32Array.from(plan.run(image, tensors)[name].values);
  }

  /** Return the logits without squares of an image's ink; computed once for each image (the same array). */
  coveredOf(image, epoch) {
    if (!this.covered.has(image)) this.covered.set(image, new Map());
    const known = this.covered.get(image);
    if (!known.has(epoch)) {
      const { plan, tensors, name } = this.quickOf(epoch);
      known.set(epoch, coverAll(plan, name, tensors, image));
    }
    return known.get(epoch);
  }

  /** Return what computes logits alone with the weights of an epoch. */
  quickOf(epoch) {
    if (!this.quick.has(epoch)) {
      const { graph, tensors } = folded(this.graph, this.tensorsOf(epoch));
      const shapes = new Map(Array.from(tensors, ([name, values]) => [name, [values.length]]));
      this.quick.set(epoch, {
        plan: new Plan(graph, layersOf(graph, shapes)),
        tensors,
        name: logitsName(graph),
      });
    }
    return this.quick.get(epoch);
  }

  /** Return the weights after an epoch of the film, or the last ones, by name. */
  tensorsOf(epoch) {
    const tensors = this.tensors.get(epoch);
    if (!tensors) throw new Error(`${this.name} has no weights of epoch ${epoch}`);
    return tensors;
  }

  /** Return the pixels {top, left, bottom, right} of the image that a number of a node depends on. */
  fieldOf(name, y, x) {
    const reach = (at, box) => {
      if (at === IMAGE) return box;
      const step = this.plan.steps.get(at);
      const boxes = step.inputs.map(({ name: source, shape }) =>
        reach(source, sourceBox(step.node, box, shape, step.output.shape)),
      );
      return {
        top: Math.min(...boxes.map((each) => each.top)),
        left: Math.min(...boxes.map((each) => each.left)),
        bottom: Math.max(...boxes.map((each) => each.bottom)),
        right: Math.max(...boxes.map((each) => each.right)),
      };
    };
    return reach(name, { top: y, left: x, bottom: y + 1, right: x + 1 });
  }

  /**
   * Return what a number of the last run is made of: {terms: [{input, channel, top, left, values, weights,
   * height, width}], bias, sum, scale, shift, function, value}. The sum of values × weights and the bias is
   * sum; BatchNorm's scale · sum + shift of it and the function of that, if there are any, are the value.
   */
  patch(name, channel, y, x) {
    if (name === IMAGE)
      return {
        terms: [],
        bias: 0,
        sum: this.plan.image.values[y * SIDE + x],
        scale: 1,
        shift: 0,
        function: null,
        value: this.plan.image.values[y * SIDE + x],
      };
    const { node, inputs, output } = this.plan.steps.get(name);
    const tensor = (each) => this.tensorsOf(this.epoch).get(each);
    const at = isMap(output.shape) ? (channel * output.shape[1] + y) * output.shape[2] + x : channel;
    const value = output.values[at];
    const before = this.plan.steps.get(node.inputs[0])?.node.op;
    if (node.op === "activation" && (before === "batch_norm" || before === "conv" || before === "linear")) {
      return { ...this.patch(node.inputs[0], channel, y, x), function: node.function, value };
    }
    if (node.op === "batch_norm" && (before === "conv" || before === "linear")) {
      return {
        ...this.patch(node.inputs[0], channel, y, x),
        ...normalisation(node, tensor, channel),
        value,
      };
    }
    const { terms, bias = 0 } = termsOf(node, inputs, output, tensor, [channel, y, x]);
    const sum = terms.reduce(
      (total, term) => term.values.reduce((part, each, i) => part + each * term.weights[i], total),
      bias,
    );
    return {
      terms,
      bias,
      sum,
      scale: 1,
      shift: 0,
      function: node.op === "activation" ? node.function : null,
      value,
    };
  }
}

/** A graph with memory for its values: runs node by node. */
class Plan {
  constructor(graph, layers) {
    this.image = { name: IMAGE, values: new Float32Array(SIDE * SIDE), shape: [1, SIDE, SIDE] };
    const values = new Map([[IMAGE, this.image]]);
    this.steps = new Map();
    graph.forEach((node, index) => {
      const { shape } = layers[index];
      const output = { name: node.name, values: new Float32Array(sizeOf(shape)), shape };
      values.set(node.name, output);
      this.steps.set(node.name, {
        node,
        inputs: node.inputs.map((name) => values.get(name)),
        output,
        scratch: memory(),
      });
    });
    this.values = Object.fromEntries(values);
  }

  /** Compute the values of all nodes, by name. */
  run(image, tensors) {
    return this.runRows(image, [0, SIDE], tensors);
  }

  /** Compute what depends on rows [from, to) of the image. */
  runRows(image, rows, tensors) {
    for (let i = rows[0] * SIDE; i < rows[1] * SIDE; i++)
      this.image.values[i] = (image[i] / 255 - MEAN) / DEVIATION;
    const tensor = (name) => tensors.get(name);
    this.image.rows = rows;
    for (const { node, inputs, output, scratch } of this.steps.values()) {
      output.rows = rowsAfter(node, inputs, output);
      OPERATIONS[node.op](node, inputs, output, tensor, scratch);
    }
    return this.values;
  }

  /** Keep all values. */
  keep() {
    for (const each of Object.values(this.values)) each.kept = each.values.slice();
  }

  /** Take back what the last run changed of the values kept. */
  restore() {
    for (const { values, kept, shape, rows } of Object.values(this.values)) {
      if (!isMap(shape)) {
        values.set(kept);
        continue;
      }
      const area = shape[1] * shape[2];
      for (let start = 0; start < values.length; start += area) {
        const [from, to] = rows.map((row) => start + row * shape[2]);
        values.set(kept.subarray(from, to), from);
      }
    }
  }
}

/** Return a function that gives zeroed memory of a length, the same each time. */
function memory() {
  let kept = null;
  return (length) => (kept ??= new Float32Array(length));
}

/** Return the tensors (name → values) that lie one after the other in weights. */
function namedTensors(tensors, weights) {
  let at = 0;
  const named = new Map();
  for (const [name, shape] of tensors) named.set(name, weights.subarray(at, (at += sizeOf(shape))));
  if (at !== weights.length) throw new Error(`expected ${at} weights, found ${weights.length}`);
  return named;
}

/** Return the name of the node whose values are the logits. */
function logitsName(graph) {
  const last = graph[graph.length - 1];
  return last.op === "softmax" || last.op === "log_softmax" ? last.inputs[0] : last.name;
}

/** Return the graph for logits alone, BatchNorm folded into the convolutions before it, and its tensors. */
function folded(graph, tensors) {
  const uses = new Map();
  for (const node of graph) for (const name of node.inputs) uses.set(name, (uses.get(name) ?? 0) + 1);
  const nodes = new Map();
  const renamed = new Map();
  const own = new Map(tensors);
  for (const original of graph) {
    const node = { ...original, inputs: original.inputs.map((name) => renamed.get(name) ?? name) };
    const before = nodes.get(node.inputs[0]);
    if (node.op === "batch_norm" && before?.op === "conv" && uses.get(original.inputs[0]) === 1) {
      nodes.set(before.name, withNorm(before, node, own));
      renamed.set(node.name, before.name);
    } else if (node.op === "dropout" || node.op === "softmax" || node.op === "log_softmax") {
      renamed.set(node.name, node.inputs[0]);
    } else {
      nodes.set(node.name, node);
    }
  }
  return { graph: [...nodes.values()], tensors: own };
}

/** Return a conv node that does what it and a batch_norm do; adds its weights to the tensors. */
function withNorm(conv, norm, tensors) {
  const tensor = (name) => tensors.get(name);
  const weight = Float32Array.from(tensor(conv.weight));
  const bias = new Float32Array(conv.channels);
  const each = weight.length / conv.channels;
  for (let channel = 0; channel < conv.channels; channel++) {
    const { scale, shift } = normalisation(norm, tensor, channel);
    for (let i = channel * each; i < (channel + 1) * each; i++) weight[i] *= scale;
    bias[channel] = (conv.bias ? tensor(conv.bias)[channel] : 0) * scale + shift;
  }
  const names = {
    weight: `${norm.name} in ${conv.name}: weight`,
    bias: `${norm.name} in ${conv.name}: bias`,
  };
  tensors.set(names.weight, weight).set(names.bias, bias);
  return { ...conv, ...names };
}
