// Has a worker read pictures, so that the page stays alive meanwhile. Without one, the page reads them itself.

const SCRIPT = document.currentScript.textContent;
const PAGE_BEGINS = "\n// ======== dom.js"; // the line above the first script that a worker can do without

class Beside {
  constructor() {
    const script = `${SCRIPT.slice(0, SCRIPT.indexOf(PAGE_BEGINS))}\nserve();\n})();\n`;
    this.address = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
    this.picture = null; // the one that is being read
    this.worker = null;
  }

  /** Read a drawing's picture, unless that is done or being done, and call `done`; forget any other. */
  attend(picture, network, done) {
    if (picture === this.picture) return;
    this.stop();
    if (!picture || picture.found) return;
    this.picture = picture;
    const finish = (found) => {
      if (picture !== this.picture) return;
      picture.found = found;
      this.stop();
      done();
    };
    // After the frame that says so.
    const alone = () => setTimeout(() => picture === this.picture && finish(foundIn(pixelsOf(picture), network)), 50);
    try {
      const worker = (this.worker = new Worker(this.address));
      worker.addEventListener("message", ({ data }) => finish(data));
      worker.addEventListener("error", alone);
      const { film, ...model } = network.description;
      const pixels = pixelsOf(picture);
      worker.postMessage({ model, pixels }, [pixels.data.buffer]);
    } catch {
      alone();
    }
  }

  stop() {
    this.worker?.terminate();
    this.worker = null;
    this.picture = null;
  }
}

/** Return the pixels of a drawing's picture, an ImageData. */
function pixelsOf({ canvas }) {
  return canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
}
