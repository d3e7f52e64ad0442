// The drawing area on the screen: ink or picture, a box around each digit that was read, the keyboard's pen.

/** Paint the paper. `digits` are those that were read; `selected` is the one shown in detail. */
function paintPaper(canvas, drawing, digits, selected, pen) {
  const width = canvas.clientWidth;
  const context = crisp(canvas, width, width * HEIGHT);
  context.clearRect(0, 0, width, width * HEIGHT);
  context.save();
  context.scale(width, width);
  if (drawing.picture) {
    const { canvas: picture, left, top, scale } = drawing.picture;
    context.drawImage(picture, left, top, picture.width * scale, picture.height * scale);
  }
  paintStrokes(context, drawing.strokes, colourOf("ink"));
  context.restore();
  digits.forEach((digit, index) => paintBox(context, digit, index === selected, width));
  if (pen) paintPen(context, pen, PENS[drawing.pen] * width, width);
}

const BOX_MARGIN = 6;
const TAG = 20; // side of the label with the value, of digits that are large enough

/** Paint the box of a digit with its value above, dashed where it is not believed. */
function paintBox(context, { box, text }, selected, width) {
  const margin = Math.min(BOX_MARGIN, 0.1 * (box.bottom - box.top) * width);
  const left = Math.max(box.left * width - margin, 1);
  const top = Math.max(box.top * width - margin, 1);
  const right = Math.min(box.right * width + margin, width - 1);
  const bottom = Math.min(box.bottom * width + margin, width * HEIGHT - 1);
  const colour = colourOf(text === "?" ? "against" : "accent");
  context.strokeStyle = colour;
  context.lineWidth = selected ? 2.5 : 1.25;
  context.setLineDash(text === "?" ? [6, 5] : []);
  context.beginPath();
  context.roundRect(left, top, right - left, bottom - top, 6);
  context.stroke();
  context.setLineDash([]);
  const tag = Math.min(TAG, Math.max(9, 0.4 * (bottom - top)));
  const y = top > tag + 2 ? top - tag - 2 : Math.min(bottom + 2, width * HEIGHT - tag);
  context.fillStyle = colour;
  context.beginPath();
  context.roundRect(left, y, tag, tag, tag / 5);
  context.fill();
  context.fillStyle = colourOf("on-accent");
  context.font = `600 ${0.75 * tag}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(text, left + tag / 2, y + tag / 2 + tag / 20);
}

/** Paint the keyboard's pen: a cross, and a disc as wide as its stroke while it is down. */
function paintPen(context, pen, stroke, width) {
  const [x, y] = pen.at.map((part) => part * width);
  const inner = stroke / 2 + 3;
  context.strokeStyle = colourOf("accent");
  context.fillStyle = colourOf("accent");
  context.lineWidth = 2;
  context.beginPath();
  for (const [across, down] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
    context.moveTo(x + across * inner, y + down * inner);
    context.lineTo(x + across * (inner + 10), y + down * (inner + 10));
  }
  context.stroke();
  context.beginPath();
  context.arc(x, y, stroke / 2, 0, 2 * Math.PI);
  if (pen.down) context.fill();
  else context.stroke();
}
