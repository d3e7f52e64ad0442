// Training as a film: the weights of every epoch, one after the other.

const FRAME_MS = 600;

class Film {
  /** Call `show(epoch)` when another epoch is to be shown. */
  constructor(show) {
    this.show = show;
    this.timer = null;
    byId("epoch").addEventListener("input", () => {
      this.pause();
      show(this.epochs[Number(byId("epoch").value) - 1]);
    });
    byId("play").addEventListener("click", () => (this.timer ? this.pause() : this.play()));
  }

  /** Take the film of a network, or put it away. */
  load(network) {
    this.pause();
    const film = network.description.film;
    byId("film").hidden = !film;
    if (!film) return;
    this.epochs = film.epochs;
    this.accuracies = film.validation_accuracies;
    byId("epoch").max = this.epochs.length;
    byId("epoch").value = this.epochs.length;
    this.drawCurve();
  }

  /** Draw the accuracies as a line above the slider. */
  drawCurve() {
    const svg = byId("curve");
    const low = Math.min(...this.accuracies);
    const high = Math.max(...this.accuracies);
    const last = Math.max(this.accuracies.length - 1, 1);
    const points = this.accuracies.map((value, index) => `${(100 * index) / last},${27 - (24 * (value - low)) / (high - low || 1)}`);
    svg.setAttribute("viewBox", "0 0 100 30");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
    line.setAttribute("points", points.join(" "));
    svg.replaceChildren(line);
  }

  play() {
    const slider = byId("epoch");
    let index = Number(slider.value) >= this.epochs.length ? 0 : Number(slider.value);
    const step = () => {
      slider.value = index + 1;
      this.show(this.epochs[index]);
      if (++index >= this.epochs.length) this.pause();
    };
    this.timer = setInterval(step, FRAME_MS);
    setText(byId("play"), "Pause");
    step();
  }

  pause() {
    clearInterval(this.timer);
    this.timer = null;
    setText(byId("play"), "Play");
  }

  /** Say which epoch is shown, and what the network reads then; undefined is the end of the training. */
  render(network, epoch, reading) {
    if (!network.description.film) return;
    const index = epoch === undefined ? this.epochs.length - 1 : this.epochs.indexOf(epoch);
    const text = `Epoch ${this.epochs[index]} of ${this.epochs.at(-1)}: ${percent(this.accuracies[index], 2)} right`;
    setText(byId("epoch-text"), reading ? `${text}, reads ${reading}` : text);
    byId("epoch").setAttribute("aria-valuetext", text);
  }
}
