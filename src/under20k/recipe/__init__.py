"""What is trained and how: architecture, recipe, initial weights, an epoch's plan. NumPy only, no files."""
