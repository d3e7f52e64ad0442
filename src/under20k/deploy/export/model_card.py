"""The model card of an export, its README.md: what the model is, what for, and what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from textwrap import fill

from under20k import __version__
from under20k.deploy.export.formats import Format
from under20k.deploy.export.front_matter import front_matter, test_accuracy, validation_accuracy
from under20k.deploy.export.proof import Proof
from under20k.deploy.export.proof_text import proof_part
from under20k.deploy.model import Model
from under20k.deploy.origin import Origin
from under20k.formatting import percent, title
from under20k.recipe.named import RECIPES
from under20k.recipe.recipe import Recipe

WIDTH = 100
INTENDED = (
    "Reading single handwritten digits in images like MNIST's: 28×28 pixels, light ink on a dark background, "
    "one digit in a box of 20×20 pixels, its centre of mass in the middle. For teaching, benchmarks and "
    "devices with little memory. Pictures of another kind have to be brought to that form first, as "
    "`under20k predict` does."
)
OUT_OF_SCOPE = (
    "Not for letters, words or printed text, nor for decisions about people without a human who checks what "
    "was read."
)
DATA = (
    "MNIST's training set: 50,000 images to train on, and 10,000 held out for validation, by a fixed random "
    "split. Training never reads the 10,000 test images."
)
LIMITS = (
    "MNIST's digits were written by employees of the American Census Bureau and by American high school "
    "students, before 1995. {others} Every image gets one of ten digits, also one that shows none."
)
OTHERS = (
    "Digits of other hands (a 1 with an upstroke, a 7 with a bar), pens, scanners and resolutions are read "
    "less well, and the accuracies above do not hold for them."
)
OTHERS_DRAWN = (
    "Digits drawn by a program in other ways of writing (a 1 with an upstroke, a 7 with a bar) were part of "
    "the training, too. The accuracies above are of MNIST's digits only, and do not hold for others."
)
CITATION = """\
```bibtex
@software{{under20k,
  author  = {{{{the under20k authors}}}},
  title   = {{under20k: train, prove and ship MNIST classifiers with fewer than 20,000 parameters}},
  version = {{{version}}}
}}

@article{{lecun1998,
  author  = {{LeCun, Yann and Bottou, L{{\\'e}}on and Bengio, Yoshua and Haffner, Patrick}},
  title   = {{Gradient-based learning applied to document recognition}},
  journal = {{Proceedings of the IEEE}},
  volume  = {{86}},
  number  = {{11}},
  pages   = {{2278--2324}},
  year    = {{1998}}
}}
```"""


def model_card(model: Model, format: Format, files: Sequence[str], proof: Proof) -> str:
    """Return the text of an export's README.md.

    Args:
        model: what was exported.
        format: to what.
        files: the names of the exported files.
        proof: of the export.
    """
    architecture = model.recipe.architecture
    sections: dict[str, Iterator[str]] = {
        "Model details": _details(model, files),
        "Intended use": iter([INTENDED, OUT_OF_SCOPE]),
        "How to use": iter([format.use]),
        "Training data": _training(model.recipe, model.origin),
        "Evaluation": _evaluation(model, proof),
        "Limitations": _limitations(model),
        "Citation": iter([CITATION.format(version=__version__)]),
    }
    lines = [
        front_matter(model, format, proof),
        f"# {title(model.recipe.name)}: {format.title}\n",
        _wrapped(
            f"A classifier of handwritten digits with {architecture.parameters:,} parameters, trained and "
            "exported by under20k."
        ),
        "",
    ]
    for heading, paragraphs in sections.items():
        lines += [f"## {heading}\n", *(f"{_wrapped(text)}\n" for text in paragraphs)]
    return "\n".join(lines).rstrip("\n") + "\n"


def _wrapped(text: str) -> str:
    """Return a paragraph in lines; a text that has lines already is kept."""
    return text if "\n" in text else fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _details(model: Model, files: Sequence[str]) -> Iterator[str]:
    architecture, origin = model.recipe.architecture, model.origin
    facts = {
        "Architecture": f"convolutional network, `{architecture}`",
        "Parameters": f"{architecture.parameters:,}",
        "Multiply-accumulates": f"{architecture.macs:,} for an image",
        "Input": "28×28 pixels from 0 (background) to 255 (ink)",
        "Output": "ten classes, the digits 0 to 9",
        "Temperature": f"{model.temperature:g}; the logits divided by it give calibrated probabilities"
        if model.temperature != 1
        else "1; the probabilities are not calibrated",
        "Licence": (origin.license if origin else None) or "not stated; the owner of the weights chooses one",
    }
    yield _list(f"**{name}:** {value}" for name, value in facts.items())
    yield "Files:"
    yield _list(f"`{name}`" for name in files)


def _list(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _training(recipe: Recipe, origin: Origin | None) -> Iterator[str]:
    yield " ".join(filter(None, [DATA, *_drawn(recipe)]))
    seed = f", seed {origin.seed}" if origin else ""
    yield f"{recipe.epochs} epochs of SGD{seed}. The recipe in full, as `under20k train` takes it:"
    yield f"```json\n{recipe.to_json().strip()}\n```"
    if origin and RECIPES.get(recipe.name) == recipe:
        yield f"`under20k train {recipe.name} --seed {origin.seed}` trains it again."
    if origin and origin.training:
        made = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in origin.training.items())
        yield f"Environment of the training: {made}."


def _drawn(recipe: Recipe) -> Iterator[str]:
    """Yield what else than MNIST's images was trained on."""
    if recipe.drawn_share:
        yield f"{percent(recipe.drawn_share, 0)} of each batch are digits that the program draws as strokes."
    if recipe.distillation:
        teacher = title(recipe.distillation.teacher.name)
        yield f"Networks of the recipe {teacher} gave soft targets beside the labels."


def _evaluation(model: Model, proof: Proof) -> Iterator[str]:
    origin = model.origin
    sample = origin.validation if origin else None
    own, test = validation_accuracy(model, proof), test_accuracy(model, proof)
    found = []
    if own is not None:
        found.append(("validation, 10,000 images of MNIST's training set", "this model", percent(own)))
    if sample:
        found.append(("the same images", f"{sample.n} seeds of the recipe", str(sample)))
    if test is not None:
        found.append(("test, MNIST's 10,000 test images", "this model, first reading", percent(test)))
    if found:
        yield "\n".join(
            [
                "| Images | Of | Accuracy |",
                "| --- | --- | ---: |",
                *(f"| {a} | {b} | {c} |" for a, b, c in found),
            ]
        )
        yield "Each is the accuracy at the last epoch of the training."
    else:
        yield "No accuracy is known."
    if model.card and model.card.calibration:
        error = model.card.calibration
        yield (
            f"Expected calibration error on validation: {percent(error.error_after)}, "
            f"and {percent(error.error_before)} at temperature 1."
        )
    yield "\n".join(proof_part(proof)).replace("## Proof", "### Proof", 1)


def _limitations(model: Model) -> Iterator[str]:
    yield LIMITS.format(others=OTHERS_DRAWN if model.recipe.drawn_share else OTHERS)
    refusal = model.card.refusal if model.card else None
    if refusal:
        accepted = ", ".join(f"{kind} {percent(value, 0)}" for kind, value in refusal.accepted.items())
        yield (
            "It was not trained to know what is no digit. Of pictures drawn to measure that, the threshold "
            f"of `under20k predict`, a probability of {model.threshold:.2f}, lets pass: {accepted}."
        )
