"""The doors outward: programs on this machine."""
