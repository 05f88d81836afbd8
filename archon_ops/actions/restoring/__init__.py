"""A restore, step by step: what is asked, what is checked, and one way for each scope."""
