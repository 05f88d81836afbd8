"""Sizes, ages and times as people write them, and back."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from archon_ops.errors import UsageError

_STEP = 1024
_UNITS = ("B", "KB", "MB", "GB", "TB", "PB")
# Few digits: nobody means more, and nothing overflows on the way.
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)
_AGE = re.compile(r"([0-9]{1,6})\s*(min|[hdw])", re.IGNORECASE)
_AGE_MINUTES = {"min": 1, "h": 60, "d": 60 * 24, "w": 60 * 24 * 7}


def parse_size(text: str) -> int:
    """Bytes of a size such as "11MB", "1.5 GiB", "400M" or "512"; a kilobyte is 1024 bytes.

    Raises:
        UsageError: it is not a size.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is not a size", "write it like 512KB, 11MB or 2GB")
    power = " KMGT".index(match.group(2).upper() or " ")
    return int(Decimal(match.group(1)) * _STEP**power)


def human_size(size: int) -> str:
    """Bytes as "512 B", "457.4 KB", "2.2 MB"; a kilobyte is 1024 bytes."""
    if abs(size) < _STEP:
        return f"{size} B"
    value, unit = float(size), 0
    # Rounding decides: 1048575 bytes are "1.0 MB", never "1024.0 KB".
    while abs(round(value, 1)) >= _STEP and unit < len(_UNITS) - 1:
        value, unit = value / _STEP, unit + 1
    return f"{value:.1f} {_UNITS[unit]}"


def human_rate(bytes_per_second: float) -> str:
    """A rate as "12.3 MB/s"."""
    return f"{human_size(int(bytes_per_second))}/s"


def parse_age(text: str) -> timedelta:
    """An age such as "10min", "12h", "7d" or "2w".

    Raises:
        UsageError: it is not an age.
    """
    match = _AGE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is not an age", "write it like 12h, 7d or 2w")
    return timedelta(minutes=int(match.group(1)) * _AGE_MINUTES[match.group(2).lower()])


def human_duration(seconds: float) -> str:
    """A duration as "0.8 s", "42 s", "2 min 5 s", "1 h 3 min", "2 d 4 h", "7 d"."""
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    if hours == 0:
        return _two(minutes, "min", rest, "s")
    days, hours = divmod(hours, 24)
    return _two(days, "d", hours, "h") if days else _two(hours, "h", minutes, "min")


def document_time(at: datetime) -> str:
    """UTC to the second without a zone, as the document's answers have it."""
    return _utc(at).strftime("%Y-%m-%dT%H:%M:%S")


def zulu(at: datetime) -> str:
    """UTC to the second with a Z (RFC 3339)."""
    return f"{document_time(at)}Z"


def exact(at: datetime) -> str:
    """UTC to the microsecond with a Z (RFC 3339)."""
    return f"{_utc(at):%Y-%m-%dT%H:%M:%S.%f}Z"


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large} {large_unit}" + (f" {small} {small_unit}" if small else "")


def _utc(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError("a time without its zone means nothing")
    return at.astimezone(UTC)
