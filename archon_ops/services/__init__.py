"""Archon's own containers: which run, stopped around a restore, started again, made anew."""
