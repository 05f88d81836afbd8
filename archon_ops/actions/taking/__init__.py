"""One backup from its snapshot to its name."""
