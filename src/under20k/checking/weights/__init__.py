"""The accuracy of weights: their file, the normalisation they were trained with, and the evaluation."""
