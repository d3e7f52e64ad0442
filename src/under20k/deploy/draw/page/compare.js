// The networks side by side, and the choice of the one that is shown in detail.

class Comparison {
  constructor(networks, choose) {
    this.cards = networks.map(({ description }, index) => {
      const radio = make("input", { type: "radio", name: "network", checked: index === 0 });
      const reading = make("span", { className: "reading" });
      const certain = make("span", { className: "certain" });
      radio.addEventListener("change", () => choose(index));
      const label = make(
        "label",
        { className: "card panel" },
        radio,
        make("span", { className: "name", textContent: description.name }),
        make("span", { className: "facts" }, ...factsOf(description)),
        reading,
        certain,
      );
      byId("cards").append(label);
      return { radio, reading, certain };
    });
  }

  /** Show a network's reading; it has none (null) until there is a drawing. */
  render(index, reading, result) {
    const { reading: text, certain } = this.cards[index];
    setText(text, reading ?? "–");
    setText(certain, result ? `${result.value} (${likelihood(result.probabilities[result.value])})` : "");
  }

  check(index) {
    this.cards[index].radio.checked = true;
  }
}

/** Return what is known of a network: parameters and accuracy. */
function factsOf({ parameters, accuracy, validation_accuracy, own_weights }) {
  const facts = [make("span", { textContent: counted(parameters, "parameter") })];
  if (accuracy) {
    const figure = `${(100 * accuracy.mean).toFixed(2)} ± ${(100 * accuracy.sd).toFixed(2)}% right, ${counted(accuracy.n, "seed")}`;
    facts.push(make("span", { textContent: figure }));
  } else if (validation_accuracy != null) {
    const whose = own_weights ? "trained elsewhere" : "one seed";
    facts.push(make("span", { textContent: `${percent(validation_accuracy, 2)} right, ${whose}` }));
  }
  return facts;
}

/** Return who trained the networks, as a sentence. */
function originOf(networks) {
  const names = (of) => networks.filter(of).map(({ name }) => name);
  const elsewhere = names(({ description }) => description.own_weights);
  const ours = networks.length - elsewhere.length;
  const which = (count) => (count === 1 ? "The network was" : "The networks were");
  if (!ours) return `${which(elsewhere.length)} not trained by under20k: the weights are their author's.`;
  const trained = `${which(networks.length)} trained by under20k on 50,000 images of MNIST`;
  return elsewhere.length ? `${trained}, except ${elsewhere.join(", ")}, whose weights are their author's.` : `${trained}.`;
}
