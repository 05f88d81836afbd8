"""An undo, one way for each scope of what is kept."""
