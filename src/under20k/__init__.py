"""Train, prove and ship MNIST digit classifiers with fewer than 20,000 parameters."""

__version__ = "0.1.0"
