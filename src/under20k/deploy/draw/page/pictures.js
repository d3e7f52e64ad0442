// Pictures instead of strokes: chosen, dropped, pasted, or taken with the camera.

/** Let pictures come in by every way; `show` gets each as an ImageBitmap, `fail` a sentence. */
function takePictures(show, fail) {
  const open = async (file) => {
    if (!file) return;
    try {
      show(await createImageBitmap(file));
    } catch {
      fail(`This browser cannot read ${file.name || "that"} as a picture. Choose a PNG, a JPEG or a WebP.`);
    }
  };
  const file = byId("file");
  byId("choose").addEventListener("click", () => {
    file.removeAttribute("capture");
    file.click();
  });
  file.addEventListener("change", async () => {
    await open(file.files[0]);
    file.value = ""; // so that the same file can be chosen again
  });
  document.addEventListener("paste", (event) => {
    const pasted = [...event.clipboardData.files].find(({ type }) => type.startsWith("image/"));
    if (pasted) open(pasted);
    else fail("There is no picture on the clipboard. Copy one first.");
  });
  takeDrops(open, fail);
  takePhotographs(show, file);
}

/** Take a file that is dropped anywhere on the page. */
function takeDrops(open, fail) {
  const paper = byId("paper");
  let inside = 0; // entered elements not yet left
  const mark = (change) => {
    inside = Math.max(0, inside + change);
    paper.classList.toggle("dropping", inside > 0);
  };
  document.addEventListener("dragenter", () => mark(1));
  document.addEventListener("dragleave", () => mark(-1));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(-inside);
    const [dropped] = event.dataTransfer.files;
    if (dropped) open(dropped);
    else fail("Drop a picture's file; a link to one would have to be fetched, and this page fetches nothing.");
  });
}

/** Take a photograph; where the page gets no camera, the phone's own app or a file serves. */
function takePhotographs(show, file) {
  const dialog = byId("camera-dialog");
  const video = byId("video");
  const camera = byId("camera");
  camera.addEventListener("click", async () => {
    camera.disabled = true; // a second stream would never be stopped
    try {
      video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      dialog.showModal();
    } catch {
      file.setAttribute("capture", "environment");
      setText(byId("message"), "This browser gives the page no camera. Choose a photograph instead.");
      file.click();
    } finally {
      camera.disabled = false;
    }
  });
  byId("take").addEventListener("click", async () => {
    if (video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return; // no frame yet
    show(await createImageBitmap(video));
    dialog.close();
  });
  byId("cancel").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => {
    for (const track of video.srcObject?.getTracks() ?? []) track.stop();
    video.srcObject = null;
  });
}
