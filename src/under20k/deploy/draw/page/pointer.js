// Drawing with a mouse, a pen or a finger.

/** Draw with pointers on the canvas; call `begun` when a stroke begins. */
function drawWithPointer(canvas, drawing, begun) {
  let active = null;
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width;
    const y = (event.clientY - box.top) / box.width;
    return [Math.min(Math.max(x, 0), 1), Math.min(Math.max(y, 0), HEIGHT)];
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (active !== null || event.button !== 0) return; // a second finger or a palm draws nothing
    active = event.pointerId;
    canvas.setPointerCapture(active);
    begun();
    drawing.begin(place(event));
    event.preventDefault();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerId !== active) return;
    const moves = event.getCoalescedEvents?.() ?? [];
    drawing.extend((moves.length ? moves : [event]).map(place));
  });
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) {
    canvas.addEventListener(name, (event) => {
      if (event.pointerId !== active) return;
      active = null;
      drawing.end();
    });
  }
  // Of browsers that scroll in spite of touch-action.
  canvas.addEventListener("touchmove", (event) => event.preventDefault(), { passive: false });
}
