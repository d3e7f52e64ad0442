// The drawing area on the screen: ink or picture, a box around each digit that was read, the keyboard's pen.

/** Paint the paper. `digits` are those that were read; `selected` is the one shown in detail. */
function paintPaper(canvas, drawing, digits, selected, pen) {
  const width = canvas.clientWidth;
  const context = crisp(canvas, width, width * HEIGHT);
  context.clearRect(0, 0, width, width * HEIGHT);
  context.scale(width, width);
  if (drawing.picture) {
    const { bitmap, left, top, scale } = drawing.picture;
    context.drawImage(bitmap, left, top, bitmap.width * scale, bitmap.height * scale);
  }
  paintStrokes(context, drawing.strokes, colourOf("ink"));
  const unit = 1 / width; // a CSS pixel
  digits.forEach((digit, index) => paintBox(context, digit, index === selected, unit));
  if (pen) paintPen(context, pen, PENS[drawing.pen], unit);
}

/** Paint the box of a digit with its value above, dashed where it is not believed. */
function paintBox(context, digit, selected, unit) {
  const colour = colourOf(digit.text === "?" ? "against" : "accent");
  const margin = 6 * unit;
  const left = Math.max(digit.box.left - margin, unit);
  const top = Math.max(digit.box.top - margin, unit);
  const right = Math.min(digit.box.right + margin, 1 - unit);
  const bottom = Math.min(digit.box.bottom + margin, HEIGHT - unit);
  context.strokeStyle = colour;
  context.lineWidth = (selected ? 2.5 : 1.25) * unit;
  context.setLineDash(digit.text === "?" ? [6 * unit, 5 * unit] : []);
  context.beginPath();
  context.roundRect(left, top, right - left, bottom - top, 6 * unit);
  context.stroke();
  context.setLineDash([]);
  const height = 22 * unit;
  const tag = 20 * unit;
  const above = top >= height + unit;
  const y = above ? top - height : Math.min(bottom, HEIGHT - height - unit);
  context.fillStyle = colour;
  context.beginPath();
  context.roundRect(left, y, tag, height - 2 * unit, 4 * unit);
  context.fill();
  context.fillStyle = colourOf("page");
  context.font = `600 ${15 * unit}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(digit.text, left + tag / 2, y + height / 2 - unit / 2);
}

/** Paint the keyboard's pen: a cross, with a dot while it is down. */
function paintPen(context, pen, width, unit) {
  const [x, y] = pen.at;
  context.strokeStyle = colourOf("accent");
  context.fillStyle = colourOf("accent");
  context.lineWidth = 2 * unit;
  context.beginPath();
  for (const [across, down] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
    context.moveTo(x + across * 9 * unit, y + down * 9 * unit);
    context.lineTo(x + across * 18 * unit, y + down * 18 * unit);
  }
  context.stroke();
  context.beginPath();
  context.arc(x, y, Math.max(width / 2, 3 * unit), 0, 2 * Math.PI);
  if (pen.down) context.fill();
  else context.stroke();
}
