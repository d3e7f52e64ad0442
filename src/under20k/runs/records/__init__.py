"""Records: benches with a proof, the rules of each track, and their verification."""
