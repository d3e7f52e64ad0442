// Runs the page's scripts, which it holds deflated, whole and with their comments. The policy allows them by their hash.

inflated(document.getElementById("scripts").textContent).then(
  (bytes) => {
    const script = document.createElement("script");
    script.textContent = new TextDecoder().decode(bytes);
    document.body.append(script);
  },
  // Without DecompressionStream, or with one that does not know "deflate-raw".
  () => document.body.prepend("This page needs a browser of 2023 or later."),
);
