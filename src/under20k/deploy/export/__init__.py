"""A trained model in other forms, each with the proof that nothing was lost."""
