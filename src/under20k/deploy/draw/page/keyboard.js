// Drawing with arrow keys.

const STEP = 0.02;
const SMALL_STEP = 0.005;
const DIRECTIONS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

class KeyboardPen {
  /** Draw with keys while the canvas has the focus; call `changed` when the pen itself changes. */
  constructor(canvas, drawing, { begun, lifted, changed }) {
    Object.assign(this, { drawing, begun, lifted, changed, at: [0.5, HEIGHT / 2], down: false, visible: false });
    this.pressed = new Set();
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("keyup", (event) => this.pressed.delete(event.key));
    canvas.addEventListener("focus", () => this.appear(canvas.matches(":focus-visible")));
    canvas.addEventListener("blur", () => this.appear(false));
    canvas.addEventListener("pointerdown", () => this.appear(false));
  }

  appear(visible) {
    this.visible = visible;
    if (this.down && !visible) this.drawing.end();
    this.down &&= visible;
    this.pressed.clear();
    this.changed();
  }

  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return; // the page's own keys
    this.down &&= this.drawing.down; // a picture or Delete takes the stroke away
    if (event.key in DIRECTIONS) this.move(event);
    else if (event.key === " " || event.key === "Enter") this.toggle(event);
    else if (event.key === "Backspace") this.undo();
    else if (event.key === "Delete") this.drawing.clear();
    else return;
    event.preventDefault();
  }

  move(event) {
    this.visible = true;
    this.pressed.add(event.key);
    const step = event.shiftKey ? SMALL_STEP : STEP;
    let [x, y] = this.at;
    for (const key of this.pressed) {
      x += DIRECTIONS[key][0] * step;
      y += DIRECTIONS[key][1] * step;
    }
    this.at = [Math.min(Math.max(x, 0), 1), Math.min(Math.max(y, 0), HEIGHT)];
    if (this.down) this.drawing.extend([this.at]);
    this.changed();
  }

  toggle(event) {
    if (event.repeat) return;
    this.visible = true;
    this.down = !this.down;
    if (this.down) {
      this.begun();
      this.drawing.begin(this.at);
    }
    announce(this.down ? "Pen down" : "Pen up");
    if (!this.down) {
      this.drawing.end();
      this.lifted();
    }
    this.changed();
  }

  undo() {
    this.down = this.drawing.down = false;
    this.drawing.undo();
  }
}
