"""Claimed figures in outputs, texts and code, and figures that only look like claims."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from under20k.checking.source.claimed_epochs import epochs
from under20k.checking.source.claims import Claims, claims, figures
from under20k.checking.source.read_source import Source

BAR = "100%|██████████| 469/469 [00:16<00:00, 28.9it/s]"
# Output, last test accuracy, last train accuracy.
OUTPUTS = {
    "Test set: Average loss: 0.0201, Accuracy: 9941/10000 (99.41%)\n": (0.9941, None),
    "\nTest set: Average loss: 0.0201, Accuracy: 9941/10000 (99%)\n\n": (0.9941, None),
    "Test set: Accuracy: 9900/10000 (99%)\nTest set: Accuracy: 9941/10000 (99%)": (0.9941, None),
    f"Loss=0.016 Batch_id=468 Accuracy=98.92: {BAR}\n": (None, 0.9892),
    f"EPOCH: 3\nloss=0.1 batch_id=468 Accuracy=97.10: {BAR}\n\nTest set: Average loss: 0.02, Accuracy: "
    "9933/10000 (99.33%)": (0.9933, 0.971),
    f"Train: Loss=0.13 Batch_id=468 Accuracy=89.18: {BAR}Adjusting learning rate of group 0 to 1.0e-01.": (
        None,
        0.8918,
    ),
    f"Accuracy=90.00: 50%|█\rAccuracy=91.50: {BAR}": (None, 0.915),
    "train set: Accuracy: 59031/60000 (98.39%)\nTest set: Accuracy: 9853/10000 (98.53%)": (0.9853, 0.98385),
    "Test phase: Average loss: 0.0202, Accuracy: 9940/10000 (99.40%)": (0.994, None),
    "Train Loss=0.0287 LR=0.035 Acc=98.27%: 100%\nTest set: loss: 0.04, Accuracy: 9856/10000 (98.560%)": (
        0.9856,
        0.9827,
    ),
    "Epoch 15: train_loss 0.03, train_acc 0.9890, val_loss 0.02, val_acc 0.9941": (0.9941, 0.989),
    "val_acc=0.9941": (0.9941, None),
    "Epoch 3/20 | train acc: 98.9% | val acc: 99.2%": (0.992, 0.989),
    "Epoch [19/20] Val Loss: 0.0014, Val Accuracy: 0.9882": (0.9882, None),
    "469/469 [====] - 8s - loss: 0.02 - accuracy: 0.9936 - val_loss: 0.02 - val_accuracy: 0.9944": (
        0.9944,
        0.9936,
    ),
    "469/469 ━━ 8s/step - accuracy: 0.9936 - loss: 0.02 - val_accuracy: 0.9944 - val_loss: 0.02": (
        0.9944,
        0.9936,
    ),
    "Accuracy of the network on the 10000 test images: 99.27 %": (0.9927, None),
    "Test Accuracy of the model on the 10000 test images: 99 %": (0.99, None),
    "Accuracy of the model on the 10,000 test images: 99.02%": (0.9902, None),
    "│         test_acc          │    0.9940999746322632     │": (0.994100, None),
    "[{'test_loss': 0.02, 'test_acc': 0.9940999746322632}]": (0.9941, None),
    "Test Accuracy: 99.41%": (0.9941, None),
    "Final test accuracy = 99.41 %": (0.9941, None),
    "Test accuracy is 99.41%": (0.9941, None),
    "test loss 0.0301 test acc 0.9912": (0.9912, None),
    "Training accuracy: 98.1%\nValidation accuracy: 99.1%": (0.991, 0.981),
    "Valid Acc: 99.10, Train Acc: 98.00": (0.991, 0.98),
    "Validation Accuracy (%): 99.31": (0.9931, None),
    "Test set: Average loss: 0.0294, Accuracy: \x1b[32m9905/10000\x1b[0m (99.05%)": (None, None),
    "Accuracy: 9804/10000 (98%)": (0.9804, None),
    "Test Accuracy (Overall): 98% (9876/10000)": (0.98, None),
    "INFO | Test set: Average loss: 0.0319, Accuracy: 9888/10000 (98.88%)": (0.9888, None),
    "test_acc: tensor(0.9941)": (0.9941, None),
    "Epoch: 12 | Test Loss: 0.02 | Test Acc: 99.41": (0.9941, None),
    # None of these is a result on test or validation images of MNIST, or it cannot be read for certain.
    "Test set: Average loss: 0.0009, Accuracy: 57784/60000 (96.31%)": (None, None),
    "Test Accuracy of class 3: 98.2% (991/1010)": (None, None),
    "Accuracy of     5 : 99 %": (None, None),
    "Test Accuracy of     3: 98% (991/1010)": (None, None),
    "Accuracy for class: 7 is 98.9 %": (None, None),
    "Target accuracy of 99.4% reached at epoch 15!": (None, None),
    "test accuracy should be at least 99.4%": (None, None),
    "Validation acc improved from 0.9901 to 0.9941, saving": (None, None),
    "Top-5 test accuracy: 99.9%": (None, None),
    "accuracy": (None, None),
    "Test accuracy: nan": (None, None),
    "Test accuracy: 1": (None, None),
    "Test accuracy: 0.0": (None, None),
    "Test accuracy: 9941": (None, None),
    "Test loss: 0.0201": (None, None),
    "Accuracy: 99.41%": (None, None),
    "    accuracy                           0.99     10000": (None, None),
    "Epoch 3, Loss: 0.2, vacc: 3": (None, None),
    "Accuracy/test 12/15": (None, None),
    "Total params: 13,808": (None, None),
    "test accuracy 14/15 epochs": (None, None),
    "Test accuracy 120%": (None, None),
    "accelerator: 0.99": (None, None),
}


@pytest.mark.parametrize("text", OUTPUTS)
def test_accuracies_of_outputs(text):
    found = claims(Source(outputs=[("w.ipynb In [3]", text)]))
    expected = OUTPUTS[text]
    got = [claim and claim.value for claim in (found.test_accuracy, found.train_accuracy)]
    assert got == [value and pytest.approx(value, abs=1e-6) for value in expected]


# Source, epochs.
LOOPS = {
    "for epoch in range(15):\n    train(model)": 15,
    "EPOCHS = 15\nfor epoch in range(EPOCHS):\n    train(model)": 15,
    "EPOCHS = 15\nfor epoch in range(1, EPOCHS + 1):\n    train(model)": 15,
    "for epoch in range(1, 20):\n    train(model, epoch)": 19,
    "for e in tqdm(range(10)):\n    train(model)": 10,
    "for epoch in trange(12, desc='x'):\n    train(model)": 12,
    "for i in range(8):\n    train_one_epoch(model)": 8,
    "for _ in range(8):\n    train(model)": 8,
    "for epoch in range(0, 20, 1):\n    train(model)": 20,
    "n_epochs = 5 * 3\nfor epoch in range(n_epochs):\n    train(model)": 15,
    "def fit(model, num_epochs=20):\n    for epoch in range(num_epochs):\n        step(model)": 20,
    "def fit(model, num_epochs=20):\n    for epoch in range(num_epochs):\n        step(model)\nfit(net)": 20,
    "def fit(model, epochs=20):\n    for epoch in range(epochs):\n        step(model)\nfit(net, epochs=7)": 7,
    "def fit(model, n):\n    for epoch in range(n):\n        step(model)\nN = 9\nfit(net, N)": 9,
    "class T:\n    def fit(self, n):\n        for epoch in range(n):\n            step()\nT().fit(9)": 9,
    "p.add_argument('--epochs', type=int, default=14)\nargs = p.parse_args()\n"
    "for epoch in range(1, args.epochs + 1):\n    train(args)": 14,
    "p.add_argument('-e', '--num-epochs', default=14)\nfor e in range(args.num_epochs):\n    train(args)": 14,
    "class Config:\n    epochs = 18\nfor epoch in range(Config.epochs):\n    train()": 18,
    "config = {'epochs': 18, 'lr': 0.1}\nfor epoch in range(config['epochs']):\n    train()": 18,
    "config = dict(epochs=18)\nfor epoch in range(config['epochs']):\n    train()": 18,
    "trainer = pl.Trainer(max_epochs=20)\ntrainer.fit(model)": 20,
    "model.fit(x, y, batch_size=128, epochs=12)": 12,
    "learn.fit_one_cycle(5, 1e-2)": 5,
    "EPOCHS = 15\ntrain(model, EPOCHS)": 15,
    "num_epochs: int = 15\nrun(model)": 15,
    "EPOCHS, LR = 15, 0.1": 15,
    "self.epochs = 11": 11,
    "for epoch in range(15):\n    train(a)\nfor epoch in range(15):\n    train(b)": 15,
    "class T:\n    def __init__(self):\n        self.epochs = 6\n    def run(self):\n"
    "        for epoch in range(self.epochs):\n            self.train_epoch()": 6,
    "p.add_argument('--epoch', type=int, default=20)\nfor epoch in range(args.epoch):\n    train()": 20,
    # None
    "for epoch in range(15):\n    train(a)\nfor epoch in range(20):\n    train(b)": None,
    "EPOCHS = 15\nEPOCHS = 20": None,
    "for i in range(10):\n    plt.imshow(x[i])": None,
    "for i in range(1000):\n    loss.backward()": None,
    "for seed in range(3):\n    train(seed)": None,
    "for epoch in range(len(losses)):\n    print(losses[epoch])": None,
    "for epoch in range(n):\n    train(model)": None,
    "for epoch in range(int(sys.argv[1])):\n    train(model)": None,
    "def train():\n    for epoch in range(20):\n        step()\nfor i in range(5):\n    train()": 20,
    "for i, epoch in enumerate(epochs):\n    train()": None,
    "def f(epoch): pass\nf(epoch=3)": None,
    "while True:\n    train()": None,
    "sched = OneCycleLR(opt, 0.1, epochs=20, steps_per_epoch=9)": None,
    "EPOCHS = 0": None,
    "EPOCHS = -3": None,
    "EPOCHS = 10 ** 9": None,
    "EPOCHS = True": None,
    "EPOCHS = EPOCHS": None,
    "for epoch in range(10 ** 9 * 10 ** 9):\n    train()": None,
    "if fast:\n    EPOCHS = 1\nelse:\n    EPOCHS = 20\nfor epoch in range(EPOCHS):\n    train()": None,
    "x = 15  # epochs": None,
}


@pytest.mark.parametrize("text", LOOPS)
def test_epochs_of_the_code(text):
    found = epochs([("a.py", text)])
    assert (found and found[0]) == LOOPS[text]


# Text, accuracy.
TEXTS = {
    "Best Test Accuracy: **99.43%**": 0.9943,
    "### Results\n- Test accuracy 99.43 %\n- Parameters 13,808": 0.9943,
    "Achieved 99.43% test accuracy in epoch 15": 0.9943,
    "Best test accuracy: 99.43\nfinal test accuracy: 99.43": 0.9943,
    "| Test Accuracy | 99.43% |": 0.9943,
    "It has a test accuracy of 99.43%.": 0.9943,
    "Test accuracy 99.40 (model 1)\nTest accuracy 99.48 (model 2)": None,
    "Target: 99.4% test accuracy in less than 15 epochs": None,
    "We want a test accuracy of 99.4%": None,
    "Train accuracy 98.9%": None,
    "99.4% of the time": None,
    "We reached 99.4%, see README": None,
}


@pytest.mark.parametrize("text", TEXTS)
def test_accuracies_of_texts(text):
    in_cell = claims(Source(texts=[("w.ipynb cell 1", text)])).stated_accuracy
    in_docstring = claims(Source(pieces=[("a.py", f"x = 1\n'''{text}'''\n")])).stated_accuracy
    comment = "\n".join(f"# {line}" for line in text.split("\n"))
    in_comment = claims(Source(pieces=[("a.py", f"{comment}\nx = 1")])).stated_accuracy
    assert [claim and claim.value for claim in (in_cell, in_docstring, in_comment)] == [TEXTS[text]] * 3


def test_places_and_json():
    source = Source(
        pieces=[("w.ipynb In [2]", "\nEPOCHS = 15")],
        outputs=[
            ("w.ipynb In [3]", "Test set: Accuracy: 9943/10000 (99.43%)"),
            ("w.ipynb In [4]", "Test set: Accuracy: 9941/10000 (99.41%)\ntrain acc: 98.5%"),
        ],
    )
    found = json.loads(json.dumps(claims(source).to_json()))
    assert found == {
        "epochs": {"value": 15, "place": "w.ipynb In [2]:2"},
        "test_accuracy": {"value": 0.9941, "place": "w.ipynb In [4], output"},
        "best_test_accuracy": {"value": 0.9943, "place": "w.ipynb In [3], output"},
        "train_accuracy": {"value": 0.985, "place": "w.ipynb In [4], output"},
    }
    assert claims(source, {"w.ipynb In [4]"}).best_test_accuracy.value == 0.9941
    assert claims(source, set()).test_accuracy is None
    assert claims(Source()) == Claims()
    assert Claims().to_json() == {}


@given(st.text())
def test_any_text_is_read(text):
    for kind, value in figures(f"test accuracy {text} train acc {text}"):
        assert kind in ("test", "train")
        assert 0 < value <= 1
    claims(Source(pieces=[(str(Path("a.py")), text)], texts=[("a", text)]))


def test_long_outputs_are_read_quickly():
    import time

    lines = "".join(f"Loss=0.1 Batch_id={i} Accuracy=9{i % 10}.10: 10%|█| {i}/469\r" for i in range(20_000))
    start = time.process_time()
    assert len(list(figures(lines + "x" * 10**6 + " acc acc" * 10**5))) == 20_000
    assert time.process_time() - start < 3
