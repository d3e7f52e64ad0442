"""The assignment's own figures, and the page that stands beside them."""
