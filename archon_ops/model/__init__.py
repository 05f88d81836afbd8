"""Pure decisions: no input or output, no clock; the time is an argument."""
