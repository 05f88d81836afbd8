"""One use case a file; everything that changes something is wrapped in recording."""
