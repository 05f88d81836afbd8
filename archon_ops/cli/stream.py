"""What standard output and standard error can take, and writing to them without surprises."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TextIO

_ASCII = str.maketrans({"━": "=", "▶": ">", "✓": "OK", "…": "...", "─": "-", "→": "->"})
_GLYPHS = "━▶✓…─→"


def terminal(stream: TextIO | None) -> bool:
    """Whether a person looks at it."""
    return stream is not None and not stream.closed and stream.isatty()


def movable(stream: TextIO | None) -> bool:
    """Whether a line on it can be drawn again in place."""
    return terminal(stream) and os.environ.get("TERM", "dumb") != "dumb"


def colourful(stream: TextIO | None) -> bool:
    """Whether colour is welcome: a terminal that can, and nobody said NO_COLOR."""
    return movable(stream) and not os.environ.get("NO_COLOR")


def ascii_only(stream: TextIO) -> bool:
    """Whether signs beyond ASCII would fail on it, or the locale says that they are not read.

    Python writes UTF-8 also in the C locale; a terminal set to it may not show that.
    """
    if (os.environ.get("LC_ALL") or os.environ.get("LANG")) in ("C", "POSIX"):
        return True
    try:
        _GLYPHS.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return True
    return False


def put(stream: TextIO | None, text: str) -> OSError | None:
    """Write and flush.

    Returns:
        Why the bytes could not be written, as on a full disk. A reader who went away is no
        such reason: that must not stop a backup halfway.
    """
    if stream is None:
        return None
    try:
        stream.write(_encodable(stream, text))
        stream.flush()
    except OSError as error:
        discard_from_now_on(stream)
        return None if isinstance(error, BrokenPipeError) else error
    return None


@contextlib.contextmanager
def until_nobody_reads() -> Iterator[None]:
    """Print inside; whoever reads it may stop early, as `head` does, and nobody complains."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        discard_from_now_on(sys.stdout)


def _encodable(stream: TextIO, text: str) -> str:
    encoding = stream.encoding or "utf-8"
    if ascii_only(stream):
        text = text.translate(_ASCII)
    return text.encode(encoding, "backslashreplace").decode(encoding)


def discard_from_now_on(stream: TextIO) -> None:
    """Point its descriptor at nothing, else Python complains again when it ends."""
    with contextlib.suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)
