"""The drawing page: one HTML file in which a browser computes the networks and shows how."""
