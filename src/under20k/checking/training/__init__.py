"""A user's model as a training takes it: loaded, described, and given initial weights for each seed."""
