// A network as people draw it: a convolution with its BatchNorm and activation is one layer.

const ENDS = new Set(["softmax", "log_softmax"]);
const SILENT = new Set(["dropout", "reshape"]); // they change no number

/** Return the layers to show: [{index, title, shown, names, parameters, shape, last}]. */
function stagesOf(network) {
  const stages = [];
  const owner = new Map(); // node → its stage, where nothing else was done to it
  for (const layer of network.layers) {
    if (ENDS.has(layer.op)) continue;
    const before = owner.get(layer.inputs[0]);
    const silent = before && (SILENT.has(layer.op) || isAverageOfOne(layer, before));
    if (silent || joins(layer, before)) {
      before.names.add(layer.name);
      before.parameters += layer.parameters;
      owner.set(layer.name, before);
      if (silent) continue;
      Object.assign(before, { shown: layer.name, op: layer.op, title: `${before.title} · ${layer.title}` });
      continue;
    }
    const { title, parameters, shape, op, name } = layer;
    const stage = { title, parameters, shape, op, shown: name, names: new Set([name]), index: stages.length };
    stages.push(stage);
    owner.set(name, stage);
  }
  stages.at(-1).last = true;
  return stages;
}

/** Return whether a layer averages maps of one pixel, which changes nothing. */
function isAverageOfOne({ op, shape }, before) {
  return op === "adaptive_pool" && sizeOf(shape) === shape[0] && sizeOf(before.shape) === before.shape[0];
}

/** Return whether a layer continues the one before: BatchNorm after weights, an activation after either. */
function joins(layer, before) {
  if (!before || before.shown !== layer.inputs[0]) return false;
  const weighted = before.op === "conv" || before.op === "linear";
  return (layer.op === "batch_norm" && weighted) || (layer.op === "activation" && (weighted || before.op === "batch_norm"));
}

/** Return channels, height and width of a shape; plain numbers are maps of one pixel. */
function mapShape(shape) {
  return shape.length === 3 ? shape : [shape[0], 1, 1];
}
