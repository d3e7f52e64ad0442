// Runs the page's scripts, which it holds deflated, whole and with their comments. The policy allows them by their hash.

if ("DecompressionStream" in window) {
  inflated(document.getElementById("scripts").textContent).then((bytes) => {
    const script = document.createElement("script");
    script.textContent = new TextDecoder().decode(bytes);
    document.body.append(script);
  });
} else {
  document.body.prepend("This page needs a browser of 2023 or later.");
}
