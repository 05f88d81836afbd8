"""The doctor: one file for each family of checks, all of them looked at by `examine`.

A family gathers facts (effects), and judges them in functions that only compute. Whatever is
missing, a look ends in an answer: nothing here raises because something is down.
"""
