"""Names of WAL segments, and the commits that a look into one finds."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_SEGMENT = re.compile(r"[0-9A-F]{24}")
_COMMIT = re.compile(r"desc: COMMIT(?:_PREPARED)? (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) UTC")


def is_segment(name: str) -> bool:
    """Whether this is the name of a whole segment."""
    return bool(_SEGMENT.fullmatch(name))


def segment_number(name: str, segment_bytes: int) -> int:
    """Which segment of the WAL this is, on whatever timeline."""
    return int(name[8:16], 16) * ((1 << 32) // segment_bytes) + int(name[16:], 16)


def segment_before(name: str, segment_bytes: int) -> str | None:
    """The segment before one, on the same timeline; None where there is none.

    Args:
        name: 24 hexadecimal digits: timeline, and the position in two parts.
        segment_bytes: size of every segment.
    """
    in_a_log = (1 << 32) // segment_bytes
    number = segment_number(name, segment_bytes) - 1
    if number < 1:  # nothing is ever written to the very first one
        return None
    return f"{name[:8]}{number // in_a_log:08X}{number % in_a_log:08X}"


def last_commit(text: str) -> datetime | None:
    """UTC time of the last commit that pg_waldump printed, with TZ=UTC; None where it saw none."""
    times = [datetime.fromisoformat(found).replace(tzinfo=UTC) for found in _COMMIT.findall(text)]
    return max(times, default=None)
