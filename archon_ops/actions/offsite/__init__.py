"""Copies of backups at other places: pushed, listed, pulled, verified, pruned.

Nothing here is ever done because something was deleted here: local retention does not reach there.
"""
