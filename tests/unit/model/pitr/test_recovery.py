"""Where a recovery stops, and what is read of the stop."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from archon_ops.model.pitr.recovery import (
    Stop,
    at_time,
    complaint,
    next_transaction,
    options,
    segment_bytes,
    server_settings,
    stopped,
    timeline,
)

LOG = """\
2026-11-24 15:11:53.683 UTC [53] LOG:  database system is ready to accept read-only connections
2026-11-24 15:11:53.684 UTC [56] LOG:  recovery stopping before commit of transaction 753, time \
2026-11-24 15:10:46.625+00
2026-11-24 15:11:53.684 UTC [56] LOG:  pausing at the end of recovery
"""
CONTROL = """\
Latest checkpoint's TimeLineID:       2
Min recovery ending loc's timeline:   3
Bytes per WAL segment:                67108864
max_connections setting:              300
max_prepared_xacts setting:           0
track_commit_timestamp setting:       off
"""
THEN = datetime(2026, 11, 24, 15, 10, 44, 153221, UTC)


def test_a_moment_is_told_to_the_microsecond_in_utc() -> None:
    berlin = timezone(timedelta(hours=1))
    stop = at_time(datetime(2026, 11, 24, 16, 10, 46, 624876, berlin))
    assert stop.value == "2026-11-24T15:10:46.624876+00"
    assert stop.arguments[1] == "--target=2026-11-24 15:10:46.624876+00"
    assert Stop("end").arguments == ("--type=default",)


def test_the_timeline_is_told_whatever_the_stop() -> None:
    assert Stop("end", timeline=1).arguments == ("--type=default", "--target-timeline=1")
    assert at_time(THEN, 2).arguments[-1] == "--target-timeline=2"
    assert Stop("name", "p", 3).arguments[-1] == "--target-timeline=3"


def test_the_first_change_left_out_is_named() -> None:
    found = stopped(LOG, THEN)
    assert found.last_commit == THEN
    assert found.next_commit == datetime(2026, 11, 24, 15, 10, 46, 625000, UTC)
    assert found.next_transaction == 753
    assert stopped("nothing of the kind", THEN).next_transaction is None


def test_the_server_has_what_its_wal_needs_and_nothing_runs_by_itself() -> None:
    told = server_settings(CONTROL, 16, port="5432")
    assert told["max_connections"] == "300"
    assert told["shared_preload_libraries"] == ""
    assert "event_triggers" not in told
    assert "-c max_prepared_transactions=0" in options(told)
    assert timeline(CONTROL) == 3
    assert segment_bytes(CONTROL) == 64 << 20
    assert segment_bytes("") == 16 << 20


def test_what_a_shell_would_read_is_refused() -> None:
    with pytest.raises(ValueError, match="recovery_target_name"):
        options({"recovery_target_name": "a; rm -rf /"})


@pytest.mark.parametrize(
    ("log", "says"),
    [
        ("x\nP00  ERROR: [026]: is not valid\nFATAL:  recovery ended", "is not valid"),
        ("LOG:  a\nFATAL:  recovery ended", "recovery ended"),
        ("", "its log is empty"),
    ],
)
def test_the_cause_is_found_in_the_log(log: str, says: str) -> None:
    assert complaint(log) == says


def test_no_file_of_the_sources_is_written_over() -> None:
    """Both may have been set on the source, with paths that are the same on its own machine."""
    old, new = server_settings(CONTROL, 14), server_settings(CONTROL, 15)
    assert (old["external_pid_file"], new["external_pid_file"]) == ("", "")
    assert old["stats_temp_directory"] == "pg_stat_tmp"
    assert "stats_temp_directory" not in new


def test_the_next_transaction_is_told_with_its_epoch() -> None:
    assert next_transaction("Latest checkpoint's NextXID:          2:7\n") == (2 << 32) + 7
    assert next_transaction("") is None


def test_little_wal_gathers_but_enough_for_a_server_to_start() -> None:
    control = f"{CONTROL}Bytes per WAL segment:                1073741824\n"
    assert server_settings(CONTROL, 15, 512)["max_wal_size"] == "512MB"
    assert server_settings(control, 15, 512)["max_wal_size"] == "4096MB"
