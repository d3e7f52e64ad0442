const models = JSON.parse(document.getElementById("models").textContent).models;
document.querySelector("main").textContent = models.map((model) => model.name).join(", ");
