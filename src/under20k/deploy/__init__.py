"""A trained model leaves the folder: pretrained weights, reading pictures."""
