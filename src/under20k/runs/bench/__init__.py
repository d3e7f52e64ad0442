"""Many seeds of one recipe, and their statistics."""
