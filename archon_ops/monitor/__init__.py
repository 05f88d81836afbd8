"""Watching backups: one read model, and what shows it. Reads files, and never a server."""
