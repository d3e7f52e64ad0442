"""The assignment's own figures, and the page that compares the reproduction with them."""
