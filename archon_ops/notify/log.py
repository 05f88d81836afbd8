"""The log of alerts: one line each, appended whole."""

from __future__ import annotations

import os
import stat
from pathlib import Path

# Of the document: where everybody looks, and where one may write without being root.
PRIMARY = Path("/var/log/archon-monitoring.log")
FALLBACK = Path("~/archon-monitoring.log")
NAME = "log"


def places(configured: Path | None) -> tuple[Path, ...]:
    """The files to try, in this order.

    Args:
        configured: the one of the settings; None leaves it to the document.
    """
    return (configured,) if configured else (PRIMARY, FALLBACK.expanduser())


def append(files: tuple[Path, ...], lines: tuple[str, ...]) -> str:
    """Append lines to the first of these files that can be written.

    Args:
        files: to try.
        lines: without line ends; made safe to show by the caller.

    Returns:
        Why it could not be written; empty when it was.
    """
    problems = []
    for file in files:
        try:
            _append(file, "".join(f"{line}\n" for line in lines).encode())
        except OSError as error:
            problems.append(f"{file}: {error.strerror}")
        else:
            return ""
    return "; ".join(problems)


def _append(file: Path, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    fd = os.open(file, flags, 0o600)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(0, "it is no regular file")
        # In one call, so that two writers never mix their lines.
        if os.write(fd, data) < len(data):
            raise OSError(0, "no space left")
    finally:
        os.close(fd)
