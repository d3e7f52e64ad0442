// Runs the network of an exported page on images, in a browser or Node.js. deploy/export/html_run.py puts the
// page's own scripts before it, and ADDRESS, from which it takes the images and to which it sends its results.

const PIXELS = 784;
const TIMED = 300;
const WARM_UP = 30;
const QUICK = 1000;

const take = async (name) => (await fetch(ADDRESS + name)).arrayBuffer();
const send = (name, body) => fetch(ADDRESS + name, { method: "POST", body });

/** Send the median time of an image in seconds, the logits and probabilities of each, and some logits of runQuick. */
async function prove() {
  const [model] = await unpackedModels(new TextDecoder().decode(await take("models")));
  const network = new Network(model, model.weights);
  const pixels = new Uint8Array(await take("images"));
  const images = Array.from({ length: pixels.length / PIXELS }, (_, index) => pixels.subarray(index * PIXELS, (index + 1) * PIXELS));
  const times = [];
  for (let index = 0; index < WARM_UP + TIMED; index++) {
    const start = performance.now();
    network.run(images[index % images.length]);
    times.push((performance.now() - start) / 1000);
  }
  const median = times.slice(WARM_UP).sort((a, b) => a - b)[TIMED / 2];
  const rows = images.map((image) => {
    const { logits, probabilities } = network.run(image);
    return [...logits, ...probabilities];
  });
  const quick = images.slice(0, QUICK).map((image) => [...network.runQuick(image)]);
  await send("results", Float32Array.from([median, ...rows.flat(), ...quick.flat()]));
}

const runtime = globalThis.process?.versions?.node ? `Node.js ${process.versions.node}` : navigator.userAgent;
prove().catch((error) => send("error", String(error?.stack ?? error))).then(() => send("runtime", runtime));
