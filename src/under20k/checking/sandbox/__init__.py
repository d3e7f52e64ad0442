"""The process that runs a stranger's code, its limits, and its answers."""
