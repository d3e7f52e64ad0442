// Small helpers for the page's elements, numbers and canvases.

const MINUS = "−";

/** Return the element with an id. */
function byId(id) {
  return document.getElementById(id);
}

/** Return a new element with properties and children; those named data-… or aria-… become attributes. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

/** Set an element's text, only where it differs. */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Return a whole number with commas between thousands. */
function grouped(value) {
  return value.toLocaleString("en-US");
}

/** Return a number with so many decimals and a true minus sign. */
function decimal(value, places = 2) {
  const text = Math.abs(value).toFixed(places);
  return value < 0 && Number(text) !== 0 ? MINUS + text : text;
}

/** Return a fraction as a percentage. */
function percent(fraction, places = 1) {
  return `${(100 * fraction).toFixed(places)}%`;
}

/** Return a probability as a percentage that is never more certain than the network. */
function likelihood(probability) {
  if (probability > 0.9995) return ">99.9%";
  return probability < 0.0005 ? "<0.1%" : percent(probability);
}

/** Return "1 pixel" or "3 pixels". */
function counted(count, noun) {
  return `${grouped(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** Return a canvas's context whose unit is a CSS pixel, drawn at the screen's own resolution. */
function crisp(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const columns = Math.round(width * ratio);
  const rows = Math.round(height * ratio);
  if (canvas.width !== columns || canvas.height !== rows) {
    canvas.width = columns;
    canvas.height = rows;
  }
  const context = canvas.getContext("2d");
  context.setTransform(columns / width, 0, 0, rows / height, 0, 0);
  return context;
}

const themeColours = new Map(); // of the style sheet; theme.js empties it

/** Return the value of one of the style sheet's colours. */
function colourOf(name) {
  if (!themeColours.has(name)) {
    themeColours.set(name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
  }
  return themeColours.get(name);
}

/** Return whether the reader asked for less motion. */
function stillness() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** Say something to a screen reader. */
function announce(text) {
  setText(byId("announcement"), text);
}
