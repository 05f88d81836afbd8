from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from shutil import which
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archon_ops.errors import UsageError
from archon_ops.model.schedule import DEFAULTS, Entry, parse
from tests.support import require

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 3, 4, 12, 34, 56, 789, tzinfo=UTC)  # a Wednesday

entries = st.one_of(
    st.sampled_from([1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60]).map(lambda n: Entry(minutes=n)),
    st.builds(Entry, hour=st.integers(0, 23), minute=st.integers(0, 59)),
    st.builds(Entry, hour=st.integers(0, 23), minute=st.integers(0, 59), weekday=st.integers(0, 6)),
    st.builds(Entry, hour=st.integers(0, 23), minute=st.integers(0, 59), day=st.integers(1, 28)),
)
moments = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)).map(
    lambda at: at.replace(tzinfo=UTC)
)


@pytest.mark.parametrize(
    ("text", "interval", "calendar", "cron"),
    [
        ("hourly", timedelta(hours=1), "*-*-* *:00:00", "0 * * * *"),
        ("every 10m", timedelta(minutes=10), "*-*-* *:00/10:00", "*/10 * * * *"),
        ("02:00", timedelta(days=1), "*-*-* 02:00:00", "0 2 * * *"),
        ("2:05", timedelta(days=1), "*-*-* 02:05:00", "5 2 * * *"),
        ("Mon 23:59", timedelta(days=7), "Mon *-*-* 23:59:00", "59 23 * * 1"),
        ("sun 04:00", timedelta(days=7), "Sun *-*-* 04:00:00", "0 4 * * 0"),
        ("1 05:00", timedelta(days=31), "*-*-01 05:00:00", "0 5 1 * *"),
        (" 28  05:30 ", timedelta(days=31), "*-*-28 05:30:00", "30 5 28 * *"),
    ],
)
def test_an_entry_means_the_same_to_all(
    text: str, interval: timedelta, calendar: str, cron: str
) -> None:
    entry = parse(text)
    assert (entry.interval, entry.on_calendar, entry.cron) == (interval, calendar, cron)


@pytest.mark.parametrize(
    "text",
    ["", "daily", "24:00", "2", "02:60", "29 05:00", "0 05:00", "every 7m", "every 0m", "Mo 1:00"],
)
def test_what_is_no_entry_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a time of a schedule"):
        parse(text)


@pytest.mark.parametrize(
    "text", ["every 90m", "02:00:00", "02:00\n* * * * * root sh", "02:00 Mon", "-1:00", "²:00"]
)
def test_nothing_gets_past_that_would_be_more_than_a_time(text: str) -> None:
    with pytest.raises(UsageError, match="is not a time of a schedule"):
        parse(text)


@given(entries)
def test_an_entry_written_down_is_read_again(entry: Entry) -> None:
    assert parse(str(entry)) == entry


@given(entries, moments)
def test_the_next_run_comes_within_the_interval(entry: Entry, now: datetime) -> None:
    following = entry.next_after(now, BERLIN)
    assert now < following <= now + entry.interval + timedelta(hours=1)  # a day may have 25 hours


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("hourly", "2026-03-04 13:00"),
        ("every 10m", "2026-03-04 12:40"),
        ("13:34", "2026-03-05 12:34"),  # of today's, 56 seconds are over
        ("13:35", "2026-03-04 12:35"),
        ("Wed 13:00", "2026-03-11 12:00"),
        ("4 13:00", "2026-04-04 11:00"),  # summer time by then
    ],
)
def test_the_next_run_is_in_the_zone_meant(text: str, at: str) -> None:
    assert f"{parse(text).next_after(NOW, BERLIN):%Y-%m-%d %H:%M}" == at


def test_an_hour_that_is_left_out_is_made_up_for_right_after() -> None:
    before = datetime(2026, 3, 29, 0, 0, tzinfo=UTC)  # clocks go from 02:00 to 03:00 at 01:00 UTC
    assert parse("02:30").next_after(before, BERLIN) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def test_systemd_agrees_on_the_next_runs() -> None:
    program = which("systemd-analyze")
    require(program, "the package systemd")
    assert program
    for text in (*DEFAULTS.values(), "hourly", "28 23:59", "Mon 00:00"):
        entry = parse(text)
        when = f"{entry.on_calendar} Europe/Berlin"
        said = subprocess.run(
            [program, "calendar", "--base-time", "2026-03-04 12:34:56 UTC", when],
            capture_output=True,
            text=True,
            check=True,
            env={"TZ": "UTC", "LC_ALL": "C", "PATH": "/usr/bin:/bin"},
        ).stdout
        assert f"{entry.next_after(NOW, BERLIN):%Y-%m-%d %H:%M:%S} UTC" in said
