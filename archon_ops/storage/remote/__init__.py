"""Places away from this machine: folders, object stores, and what rclone reaches.

Every one of them is written create-only: a name appears whole or not at all, and what bears it is
never replaced. What is under it afterwards is compared with what was sent.
"""

from archon_ops.storage.remote.base import Entry, Remote, Stored, TakenError
from archon_ops.storage.remote.source import FileSource, Source, Spool

__all__ = ["Entry", "FileSource", "Remote", "Source", "Spool", "Stored", "TakenError"]
