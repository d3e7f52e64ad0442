// Training as a film: the weights before it (epoch 0) and after every epoch, one after the other.

const FRAME_MS = 600;

class Film {
  /** Call `show(epoch)` when another epoch is to be shown. */
  constructor(show) {
    this.show = show;
    this.timer = null;
    byId("epoch").addEventListener("input", () => {
      this.pause();
      show(this.epochs[Number(byId("epoch").value)]);
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
    byId("epoch").max = this.epochs.length - 1;
    byId("epoch").value = this.epochs.length - 1;
    this.drawCurve();
  }

  /** Draw the accuracies as a line above the slider, without that before training, far below the others. */
  drawCurve() {
    const svg = byId("curve");
    const last = Math.max(this.accuracies.length - 1, 1);
    const trained = this.accuracies.map((value, index) => [value, (100 * index) / last]).filter((_, index) => this.epochs[index]);
    const values = trained.map(([value]) => value);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const points = trained.map(([value, x]) => `${x},${27 - (24 * (value - low)) / (high - low || 1)}`);
    svg.setAttribute("viewBox", "0 0 100 30");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
    line.setAttribute("points", points.join(" "));
    svg.replaceChildren(line);
  }

  play() {
    const slider = byId("epoch");
    let index = (Number(slider.value) + 1) % this.epochs.length;
    const step = () => {
      slider.value = index;
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
    const when = this.epochs[index] ? `Epoch ${this.epochs[index]} of ${this.epochs.at(-1)}` : "Before training";
    const accuracy = this.accuracies[index];
    const text = accuracy === null ? when : `${when}: ${percent(accuracy, 2)} right`;
    setText(byId("epoch-text"), reading ? `${text}, reads ${reading}` : text);
    byId("epoch").setAttribute("aria-valuetext", text);
  }
}
