"""Backups of Archon that carry proof of their content, and restores that are proven equal."""

__version__ = "0.1.0"
