"""The document's recovery steps, one file each: the same on a sandbox and on the real target."""
