"""The source of a model: a student's files and notebooks, parsed but never run here."""
