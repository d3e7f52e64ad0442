"""A PyTorch model as a graph that the native engine can train, and the proof that it is the same."""
