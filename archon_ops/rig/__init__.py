"""A realistic Archon database, made on demand; no action may import it."""
