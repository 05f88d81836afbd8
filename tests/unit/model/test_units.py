from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archon_ops.errors import UsageError
from archon_ops.model.units import (
    document_time,
    human_duration,
    human_rate,
    human_size,
    parse_age,
    parse_size,
    zulu,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("512", 512),
        ("512 B", 512),
        ("1KB", 1024),
        ("1kB", 1024),
        ("2KiB", 2048),
        ("11MB", 11 * 1024**2),
        ("1.5 GB", 3 * 1024**3 // 2),
        ("400m", 400 * 1024**2),
        ("2TiB", 2 * 1024**4),
        (" 3 GB ", 3 * 1024**3),
    ],
)
def test_parse_size(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "MB", "-1MB", "1e3", "1,5GB", "11 XB", "nan", "inf", "1 MB 2", "٣MB", "9" * 5000]
)
def test_parse_size_refuses(text: str) -> None:
    with pytest.raises(UsageError):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (512, "512 B"),
        (1023, "1023 B"),
        (1024, "1.0 KB"),
        (468381, "457.4 KB"),
        (2345581, "2.2 MB"),
        (1024**2 - 1, "1.0 MB"),
        (1024**5, "1.0 PB"),
        (1024**6 * 5, "5120.0 PB"),
        (-2345581, "-2.2 MB"),
    ],
)
def test_human_size(size: int, text: str) -> None:
    assert human_size(size) == text


@given(st.integers(min_value=0, max_value=1024**5))
def test_a_shown_size_can_be_typed_again(size: int) -> None:
    shown = human_size(size)
    if not shown.endswith("PB"):
        assert abs(parse_size(shown) - size) <= size * 0.05 + 1


def test_human_rate() -> None:
    assert human_rate(12.3 * 1024**2) == "12.3 MB/s"


@pytest.mark.parametrize(
    ("text", "age"),
    [("12h", timedelta(hours=12)), ("7d", timedelta(days=7)), ("2W", timedelta(days=14))],
)
def test_parse_age(text: str, age: timedelta) -> None:
    assert parse_age(text) == age


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "7 days", "1.5d", "9999999d", "7m"])
def test_parse_age_refuses(text: str) -> None:
    with pytest.raises(UsageError):
        parse_age(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0 s"),
        (0.84, "0.8 s"),
        (42.4, "42 s"),
        (59.6, "1 min"),
        (125, "2 min 5 s"),
        (3780, "1 h 3 min"),
        (7 * 86400, "7 d"),
        (2 * 86400 + 4 * 3600, "2 d 4 h"),
    ],
)
def test_human_duration(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


def test_times_are_utc_whatever_zone_they_came_in() -> None:
    at = datetime(2025, 12, 17, 4, 24, 48, 999999, tzinfo=timezone(timedelta(hours=2)))
    assert document_time(at) == "2025-12-17T02:24:48"
    assert zulu(at) == "2025-12-17T02:24:48Z"
    assert zulu(datetime(999, 1, 2, tzinfo=UTC)).endswith("-01-02T00:00:00Z")


def test_a_time_without_a_zone_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="zone"):
        zulu(datetime(2025, 1, 1))
