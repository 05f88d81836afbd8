"""Archon's own objects inside of a shared database: found, staged beside, switched, kept."""
