from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from archon_ops.errors import UsageError
from archon_ops.model.pitr.moment import parse_moment

NOW = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("2026-11-24 15:00:00+01", timedelta(hours=1)),
        ("2026-11-24T14:00:00Z", timedelta(hours=1)),
        ("2026-11-24 14:59:59.5+00:00", timedelta(seconds=0.5)),
        ("5 minutes ago", timedelta(minutes=5)),
        ("90s ago", timedelta(seconds=90)),
        ("1 hour ago", timedelta(hours=1)),
        ("2 Days ago", timedelta(days=2)),
    ],
)
def test_moments(text: str, ago: timedelta) -> None:
    found = parse_moment(text, NOW)
    assert found.at == NOW - ago
    assert found.said == ""


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-11-24", "25:00", "5 minutes", "x ago", "2026-13-01 10:00:00Z"]
)
def test_no_moment(text: str) -> None:
    with pytest.raises(UsageError, match="is not a moment"):
        parse_moment(text, NOW, "Europe/Berlin")


def test_without_a_zone() -> None:
    with pytest.raises(UsageError, match="no time zone"):
        parse_moment("2026-11-24 14:30:00", NOW)
    found = parse_moment("2026-11-24 14:30:00", NOW, "Europe/Berlin")
    assert found.at == datetime(2026, 11, 24, 13, 30, tzinfo=UTC)
    assert "Europe/Berlin" in found.said
    assert "13:30:00 UTC" in found.said


@pytest.mark.parametrize("text", ["2026-10-25 02:30:00", "2026-03-29 02:30:00"])
def test_an_hour_that_exists_twice_or_never(text: str) -> None:
    with pytest.raises(UsageError, match="not one moment"):
        parse_moment(text, NOW, "Europe/Berlin")


def test_the_future_and_an_unknown_zone() -> None:
    with pytest.raises(UsageError, match="lies ahead"):
        parse_moment("2026-11-24 15:00:01Z", NOW)
    with pytest.raises(UsageError, match="no time zone 'Mars'"):
        parse_moment("2026-11-24 14:30:00", NOW, "Mars")
