"""The process that runs a stranger's code, what holds it, and the answers it gives."""
