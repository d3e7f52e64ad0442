"""Where a model comes from: a student's files and notebooks, parsed but never run here."""
