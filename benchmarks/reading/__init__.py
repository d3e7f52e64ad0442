"""How well pictures of digits are read that are not MNIST's: ``python -m benchmarks.reading``."""
