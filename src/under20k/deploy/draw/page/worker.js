// What a worker does: it reads a picture beside the page, which takes seconds for a photograph of a page of digits.

/** Answer a message, {model, pixels} of an unpacked model and a picture's ImageData, with what may be digits. */
function serve() {
  globalThis.addEventListener("message", ({ data: { model, pixels } }) => {
    postMessage(foundIn(pixels, new Network(model, model.weights)));
  });
}

/** Return what may be digits of a picture (ImageData): [{box, line, image}]; the network tells digits that touch. */
function foundIn(pixels, network) {
  return segments(greyOf(pixels), network).map(({ box, line, ink, image }) => ({ box, line, image: image ?? digitImage(ink) }));
}
