"""A training, many of them, and what they prove: run folders, benches, records."""
