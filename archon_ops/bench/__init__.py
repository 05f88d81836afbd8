"""Ratios of time, size and memory, measured in one run."""
