// The answer: what is read, the ten probabilities, what the network sees and which pixels spoke for a class.

class Answer {
  /** Call `select(index)` for a digit, `point(class or null)` and `pin(class)` for a class. */
  constructor({ select, point, pin }) {
    this.select = select;
    this.thumbnails = [];
    this.bars = Array.from({ length: 10 }, (_, klass) => {
      const fill = make("span", { className: "fill" });
      const value = make("span", { className: "value" });
      const button = make(
        "button",
        { type: "button", "aria-pressed": "false" },
        make("span", { className: "class", textContent: klass }),
        make("span", { className: "bar" }, fill),
        value,
      );
      for (const name of ["pointerenter", "focus"]) button.addEventListener(name, () => point(klass));
      for (const name of ["pointerleave", "blur"]) button.addEventListener(name, () => point(null));
      button.addEventListener("click", () => pin(klass));
      byId("bars").append(make("li", {}, button));
      return { button, fill, value };
    });
    const digits = byId("digits");
    digits.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const count = digits.children.length;
      const index = ([...digits.children].indexOf(document.activeElement) + step + count) % count;
      select(index);
      digits.children[index].focus();
    });
  }

  /** Show the reading; view is {digits, results, selected, klass, evidence, field}. */
  render({ digits, results, selected, klass, evidence, field }) {
    const reading = byId("reading");
    setText(reading, digits.length ? readLines(digits, results).join("\n") : "–");
    reading.dataset.size = sizeOfReading(reading.textContent.split("\n"));
    const result = results[selected];
    setText(byId("certainty"), digits.length ? certaintyOf(result, digits.length > 1 ? selected : null) : "Draw something to read.");
    this.renderDigits(digits, results, selected);
    this.renderBars(result, klass);
    paintSeen(byId("seen"), digits[selected]?.image, evidence, field);
    setText(byId("seen-caption"), "");
    byId("seen-caption").append(...captionOf(klass, evidence));
  }

  renderDigits(digits, results, selected) {
    const list = byId("digits");
    const shown = digits.length > 1 ? digits.length : 0;
    list.hidden = !shown;
    while (list.children.length > shown) list.lastChild.remove();
    while (list.children.length < shown) {
      const index = list.children.length;
      const canvas = make("canvas", { "aria-hidden": "true" });
      const button = make("button", { type: "button", role: "radio" }, canvas, make("span"));
      button.addEventListener("click", () => this.select(index));
      list.append(button);
    }
    for (let index = 0; index < shown; index++) {
      const button = list.children[index];
      const checked = index === selected;
      button.setAttribute("aria-checked", checked);
      button.tabIndex = checked ? 0 : -1;
      setText(button.lastChild, results[index].text);
      button.setAttribute("aria-label", `Digit ${index + 1}: ${results[index].text}`);
      if (button.image !== digits[index].image) paintSeen(button.firstChild, digits[index].image, null, null);
      button.image = digits[index].image;
    }
  }

  renderBars(result, klass) {
    this.bars.forEach(({ button, fill, value }, index) => {
      const probability = result ? result.probabilities[index] : 0;
      const text = likelihood(probability);
      fill.style.transform = `scaleX(${probability.toFixed(4)})`;
      setText(value, result ? text : "");
      button.classList.toggle("first", Boolean(result) && result.value === index);
      button.setAttribute("aria-pressed", klass === index);
    });
  }
}

/** Return the lines of text that digits and their results make. */
function readLines(digits, results) {
  const lines = [];
  digits.forEach(({ line }, index) => (lines[line] = (lines[line] ?? "") + results[index].text));
  return lines.filter((line) => line !== undefined);
}

/** Return how large lines of text can be: "large", "medium" or "small". */
function sizeOfReading(lines) {
  const longest = Math.max(...lines.map((line) => line.length));
  if (longest > 9 || lines.length > 2) return "small";
  return longest > 6 || lines.length > 1 ? "medium" : "large";
}

/** Return what the network says of a digit, as a sentence. */
function certaintyOf({ value, probabilities, believed }, index) {
  const which = index === null ? "" : `Digit ${index + 1}: `;
  const share = (klass) => `${klass} (${likelihood(probabilities[klass])})`;
  if (!believed) return `${which}not believed to be a digit; at most ${share(value)}`;
  const second = probabilities.indexOf(Math.max(...probabilities.filter((_, klass) => klass !== value)));
  return `${which}${share(value)}, then ${share(second)}`;
}

/** Return the caption of the image: what it is, or the legend of the evidence. */
function captionOf(klass, evidence) {
  if (!evidence) return ["What the network sees: 28×28 pixels"];
  return [
    make("span", { className: "key for" }),
    `for ${klass} `,
    make("span", { className: "key against" }),
    `against ${klass}`,
  ];
}

/** Paint a 28×28 image, with the evidence of its pixels and the outline of a field, if given. */
function paintSeen(canvas, image, evidence, field) {
  const width = canvas.clientWidth || 28;
  const context = crisp(canvas, width, width);
  const pixels = new ImageData(SIDE, SIDE);
  const most = evidence ? largest(evidence) : 1;
  for (let at = 0; at < SIDE * SIDE; at++) {
    const level = image ? image[at] : 0;
    const grey = evidence ? 14 + level * 0.3 : level;
    const speaks = evidence ? evidence[at] / most : 0;
    const colour = speaks < 0 ? [255, 150, 40] : [70, 165, 255];
    const strength = Math.min(1, Math.abs(speaks) ** 0.55);
    for (let part = 0; part < 3; part++) pixels.data[4 * at + part] = grey + (colour[part] - grey) * strength;
    pixels.data[4 * at + 3] = 255;
  }
  paintPixels(context, pixels, 0, 0, width, width);
  if (field) outline(context, field, 0, 0, width / SIDE);
}

const stage28 = document.createElement("canvas");

/** Paint ImageData into a rectangle, each pixel as a sharp square. */
function paintPixels(context, pixels, left, top, width, height) {
  if (stage28.width !== pixels.width || stage28.height !== pixels.height) {
    stage28.width = pixels.width;
    stage28.height = pixels.height;
  }
  stage28.getContext("2d").putImageData(pixels, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(stage28, left, top, width, height);
}

/** Outline a box of pixels on an image whose pixels have a size. */
function outline(context, { top, left, bottom, right }, x, y, size, colour = "#ffd400") {
  const rectangle = [x + left * size, y + top * size, (right - left) * size, (bottom - top) * size];
  context.setLineDash([]);
  context.strokeStyle = "#000";
  context.lineWidth = 4;
  context.strokeRect(...rectangle);
  context.strokeStyle = colour;
  context.lineWidth = 2;
  context.strokeRect(...rectangle);
}
