unpackedModels(document.getElementById("models").textContent).then((models) => {
  document.querySelector("main").textContent = models.map((model) => `${model.name} ${model.weights.length}`).join(", ");
});
