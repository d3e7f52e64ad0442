// What one number of a feature map is made of, as arithmetic that a class can follow.

const MOST_CELLS = 49; // of a patch that is written out

class Inspector {
  constructor() {
    const part = (tag, className, ...children) => make(tag, { className }, ...children);
    this.channel = null; // of the layer before, chosen by the reader; null is the one that counts most
    this.heading = make("h3", { id: "inspector-heading" });
    this.value = part("p", "number");
    this.field = make("canvas", { className: "field", role: "img" });
    this.caption = part("p", "hint");
    this.term = part("h4", "");
    this.less = make("button", { type: "button", textContent: "‹", "aria-label": "Map before" });
    this.more = make("button", { type: "button", textContent: "›", "aria-label": "Next map" });
    this.tables = part("div", "tables");
    this.columns = part("div", "columns");
    this.columns.setAttribute("aria-hidden", "true");
    this.sums = part("dl", "sums");
    this.less.addEventListener("click", () => this.step(-1));
    this.more.addEventListener("click", () => this.step(1));
    this.body = part(
      "div",
      "body",
      part("div", "summary", this.field, part("div", "", this.value, this.caption)),
      part("div", "choice", this.term, this.less, this.more),
      this.tables,
      this.columns,
      this.sums,
    );
    this.empty = part("p", "hint");
    setText(this.empty, "Point at a pixel of a map. Its patch, its weights and its sum appear here.");
    byId("inspector").append(this.heading, this.empty, this.body);
  }

  step(change) {
    const count = this.shown.patch.terms.length;
    this.channel = (this.index + change + count) % count;
    this.render(this.shown);
  }

  /** Forget which map of the layer before was chosen. */
  reset() {
    this.channel = null;
  }

  /** Show a number; view is {place, patch, image, field, stages, held}, or null for none. */
  render(view) {
    this.shown = view;
    this.body.hidden = !view;
    this.empty.hidden = Boolean(view);
    if (!view) return setText(this.heading, "One number");
    const { place, patch, image, field, held } = view;
    const { stage, channel, row, column } = place;
    const [, height, width] = mapShape(stage.shape);
    const position = height * width > 1 ? `, row ${row + 1}, column ${column + 1}` : "";
    const which = stage.last ? `digit ${channel}` : `map ${channel + 1}`;
    setText(this.heading, `Layer ${stage.index + 1}, ${which}${position}`);
    setText(this.value, decimal(patch.value));
    paintSeen(this.field, image, null, field);
    const [high, wide] = [field.bottom - field.top, field.right - field.left];
    this.field.setAttribute("aria-label", `The image, and the ${high}×${wide} pixels that this number depends on`);
    const release = held ? " Held: click it again to let go." : "";
    setText(this.caption, `It depends on ${high}×${wide} pixels of the image.${release}`);
    this.renderTerm(view);
    this.renderSums(view);
  }

  renderTerm({ patch, stages, place }) {
    const parts = patch.terms.map(({ values, weights }) => values.reduce((sum, value, at) => sum + value * weights[at], 0));
    this.parts = parts;
    const most = parts.reduce((best, part, at) => (Math.abs(part) > Math.abs(parts[best]) ? at : best), 0);
    this.index = this.channel !== null && this.channel < parts.length ? this.channel : most;
    const several = parts.length > 1;
    this.less.hidden = this.more.hidden = this.columns.hidden = !several;
    const term = patch.terms[this.index];
    const pool = isPool(place.stage);
    const source = term.input === IMAGE ? "the image (black −0.42, white 2.82)" : `map ${term.channel + 1} of layer ${stageOf(stages, term.input)}`;
    const counts = several && this.channel === null ? ", which counts most" : "";
    setText(this.term, pool ? `The patch of ${source}` : `The patch of ${source}${counts}`);
    this.renderTables(term, parts[this.index], pool, place.stage);
    if (several) this.renderColumns(parts);
  }

  renderTables(term, sum, pool, stage) {
    const { values, weights, height, width } = term;
    if (values.length > MOST_CELLS) return this.tables.replaceChildren(`${counted(values.length, "number")}, each times its weight`);
    const products = values.map((value, at) => value * weights[at]);
    const sign = (text) => make("span", { className: "sign", textContent: text, "aria-hidden": "true" });
    const grid = (numbers, caption, chosen) => tableOf(numbers, height, width, caption, chosen);
    if (pool) {
      const chosen = stage.op === "pool" && weights.some((weight) => weight === 0) ? weights.indexOf(1) : -1;
      this.tables.replaceChildren(grid(values, "patch", chosen), sign("→"), make("span", { className: "total", textContent: decimal(sum) }));
      return;
    }
    this.tables.replaceChildren(
      grid(values, "patch"),
      sign("×"),
      grid(weights, "weights"),
      sign("="),
      grid(products, `sum ${decimal(sum)}`),
    );
  }

  /** Draw each map's part of the sum as a column: up where positive, down where negative. */
  renderColumns(parts) {
    const most = largest(parts);
    while (this.columns.children.length > parts.length) this.columns.lastChild.remove();
    while (this.columns.children.length < parts.length) {
      const index = this.columns.children.length;
      const column = make("span", { className: "column" }, make("span"));
      column.addEventListener("click", () => {
        this.channel = index;
        this.render(this.shown);
      });
      this.columns.append(column);
    }
    parts.forEach((part, index) => {
      const column = this.columns.children[index];
      column.title = `Map ${index + 1}: ${decimal(part)}`;
      column.className = `column${part < 0 ? " down" : ""}${index === this.index ? " chosen" : ""}`;
      column.firstChild.style.height = `${(48 * Math.abs(part)) / most}%`;
    });
  }

  renderSums({ patch, place }) {
    const rows = [];
    if (isPool(place.stage)) {
      rows.push([place.stage.title, decimal(patch.value)]);
    } else {
      const total = patch.sum - patch.bias;
      const count = patch.terms.length;
      rows.push([count > 1 ? `Sum over ${count} maps` : "Sum of the products", decimal(total)]);
      if (patch.bias) rows.push([`Bias: ${decimal(total)} ${signed(patch.bias)}`, decimal(patch.sum)]);
      let before = patch.sum;
      if (patch.scale !== 1 || patch.shift !== 0) {
        const normal = patch.scale * before + patch.shift;
        rows.push([`BatchNorm: ${decimal(before)} × ${decimal(patch.scale)} ${signed(patch.shift)}`, decimal(normal)]);
        before = normal;
      }
      if (patch.function) {
        const name = FUNCTIONS[patch.function] ?? patch.function;
        rows.push([patch.function === "relu" ? `ReLU: the larger of 0 and ${decimal(before)}` : name, decimal(patch.value)]);
      }
    }
    this.sums.replaceChildren(
      ...rows.map(([name, value]) => make("div", {}, make("dt", { textContent: name }), make("dd", { textContent: value }))),
    );
  }
}

function isPool({ op }) {
  return op === "pool" || op === "adaptive_pool";
}

function signed(value) {
  return `${value < 0 ? MINUS : "+"} ${decimal(Math.abs(value))}`;
}

/** Return the number of the layer that a node belongs to. */
function stageOf(stages, name) {
  return stages.find(({ names }) => names.has(name)).index + 1;
}

/** Return a table of numbers (height, width), each cell in the colour of its value. */
function tableOf(numbers, height, width, caption, chosen = -1) {
  const most = largest(numbers);
  const table = make("table", {}, make("caption", { textContent: caption }));
  for (let row = 0; row < height; row++) {
    const line = table.insertRow();
    for (let column = 0; column < width; column++) {
      const at = row * width + column;
      const cell = line.insertCell();
      cell.textContent = decimal(numbers[at]);
      colourCell(cell, numbers[at] / most);
      if (at === chosen) cell.className = "chosen";
    }
  }
  return table;
}
