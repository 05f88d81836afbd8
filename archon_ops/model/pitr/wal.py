"""Positions in the WAL, names of its segments, and the commits that a look into one finds."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_SEGMENT = re.compile(r"[0-9A-F]{24}")
_COMMIT = re.compile(r"desc: COMMIT(?:_PREPARED)? (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) UTC")
_LOG_BYTES = 1 << 32


def is_segment(name: str) -> bool:
    """Whether this is the name of a whole segment."""
    return bool(_SEGMENT.fullmatch(name))


def position(lsn: str) -> int:
    """The number of bytes before a place that is written like 0/16B3748."""
    high, _, low = lsn.partition("/")
    return int(high, 16) * _LOG_BYTES + int(low, 16)


def timeline_of(name: str) -> int:
    """The timeline that a segment, or a folder of them, belongs to."""
    return int(name[:8], 16)


def segment_number(name: str, segment_bytes: int) -> int:
    """Place of a segment among those of its size.

    Args:
        name: 24 hexadecimal digits: timeline, and the position in two parts.
        segment_bytes: size of every segment.
    """
    return int(name[8:16], 16) * (_LOG_BYTES // segment_bytes) + int(name[16:24], 16)


def segment_name(timeline: int, number: int, segment_bytes: int) -> str:
    """What a timeline's segment in a place is called."""
    log, within = divmod(number, _LOG_BYTES // segment_bytes)
    return f"{timeline:08X}{log:08X}{within:08X}"


def segment_before(name: str, segment_bytes: int) -> str | None:
    """The segment before one, on the same timeline; None where there is none."""
    number = segment_number(name, segment_bytes) - 1
    if number < 1:  # nothing is ever written to the very first one
        return None
    return segment_name(timeline_of(name), number, segment_bytes)


def last_commit(text: str) -> datetime | None:
    """UTC time of the last commit that pg_waldump printed, with TZ=UTC; None where it saw none."""
    times = [datetime.fromisoformat(found).replace(tzinfo=UTC) for found in _COMMIT.findall(text)]
    return max(times, default=None)
