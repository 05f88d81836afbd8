"""Where a recovery stops, what its server is told, and what its log says of the stop."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

_STOPPING = re.compile(
    r"recovery stopping (before|after) (?:commit|abort)(?: of prepared)? "
    r"(?:of )?transaction (\d+), time (\S+ \S+)"
)
_TIMELINE = re.compile(
    r"(?:Latest checkpoint's TimeLineID|Min recovery ending loc's timeline): +(\d+)"
)
_NEXT_XID = re.compile(r"Latest checkpoint's NextXID: +(\d+):(\d+)")
_SEGMENT = re.compile(r"Bytes per WAL segment: +(\d+)")
# A standby must not have less of these than the server had whose WAL it reads.
_AT_LEAST = {
    "max_connections": "max_connections setting",
    "max_worker_processes": "max_worker_processes setting",
    "max_wal_senders": "max_wal_senders setting",
    "max_prepared_transactions": "max_prepared_xacts setting",
    "max_locks_per_transaction": "max_locks_per_xact setting",
    "track_commit_timestamp": "track_commit_timestamp setting",
}
# Nothing of the source's may run by itself, reach out, or be slow: it is thrown away soon.
_QUIET = {
    "archive_mode": "off",
    "archive_cleanup_command": "",
    "recovery_end_command": "",
    "primary_conninfo": "",
    "synchronous_standby_names": "",
    "shared_preload_libraries": "",
    "session_preload_libraries": "",
    "external_pid_file": "",
    "unix_socket_group": "",
    "stats_temp_directory": "pg_stat_tmp",
    "local_preload_libraries": "",
    "max_logical_replication_workers": "0",
    "autovacuum": "off",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "ssl": "off",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "lc_messages": "C",
    "hot_standby": "on",
    "shared_buffers": "128MB",
    "huge_pages": "off",
    "checkpoint_timeout": "1h",
    "event_triggers": "off",
}
_SINCE = {"event_triggers": 17}
_UNTIL = {"stats_temp_directory": 14}
# A segment that is not there ends a recovery; a repository that cannot be read must not: PostgreSQL
# takes any status up to 125 for the first. So it is asked again, and then the server gives up.
_FETCH_SCRIPT = """#!/bin/sh
for pause in 0 1 4 10 15 20; do
    sleep "$pause"
    {fetch} "$1" "$2"
    code=$?
    [ "$code" -gt 1 ] || exit "$code"
done
exit 126
"""


@dataclass(frozen=True)
class Stop:
    """Where a recovery ends.

    Attributes:
        kind: "time" (all that was committed until then), "lsn", "name" (a restore point), or
            "end" (all that is archived).
        value: of it, as PostgreSQL reads it; empty for the end.
        timeline: number of the one that is followed; None leaves it to PostgreSQL, which follows
            the newest of the archive, whoever wrote that.
    """

    kind: Literal["time", "lsn", "name", "end"]
    value: str = ""
    timeline: int | None = None

    @property
    def arguments(self) -> tuple[str, ...]:
        """What `pgbackrest restore` is told; it waits there, so that it can be looked at."""
        along = () if self.timeline is None else (f"--target-timeline={self.timeline}",)
        if self.kind == "end":
            return ("--type=default", *along)
        value = self.value.replace("T", " ") if self.kind == "time" else self.value
        return (f"--type={self.kind}", f"--target={value}", "--target-action=pause", *along)


def at_time(moment: datetime, timeline: int | None = None) -> Stop:
    """Stop once all is there that was committed until a moment, along a timeline."""
    return Stop("time", f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}+00", timeline)


@dataclass(frozen=True)
class Stopped:
    """How far a recovery came.

    Attributes:
        last_commit: UTC time of the last commit that is there; None where there was none on the
            way from the backup.
        next_commit: of the first that is not there; None where the log does not say.
        next_transaction: its number.
    """

    last_commit: datetime | None
    next_commit: datetime | None = None
    next_transaction: int | None = None


def stopped(log: str, last_commit: datetime | None) -> Stopped:
    """What the log of a server says of where its recovery stopped; the last word counts."""
    found = _STOPPING.findall(log)
    if not found or found[-1][0] == "after":
        return Stopped(last_commit)
    _, transaction, at = found[-1]
    return Stopped(last_commit, datetime.fromisoformat(at).astimezone(UTC), int(transaction))


def server_settings(
    control: str, major: int, wal_megabytes: int = 4096, **more: str
) -> dict[str, str]:
    """What the server of a recovered cluster is told besides what stands in its own files.

    Args:
        control: what pg_controldata printed of the cluster.
        major: its major version.
        wal_megabytes: of WAL that may gather; a few segments do in any case.
        more: settings that depend on where it runs.
    """
    told = dict(line.split(":", 1) for line in control.splitlines() if ":" in line)
    least = {n: told[label].strip() for n, label in _AT_LEAST.items() if label in told}
    quiet = {n: v for n, v in _QUIET.items() if _SINCE.get(n, 0) <= major <= _UNTIL.get(n, major)}
    segment = int(told.get("Bytes per WAL segment", "0")) >> 20
    gathers = {"max_wal_size": f"{max(wal_megabytes, 4 * segment)}MB"}
    return {**quiet, **gathers, **least, **more}


def options(settings: Mapping[str, str]) -> str:
    """Settings as `pg_ctl --options` takes them: a shell reads that.

    Raises:
        ValueError: a value is not one that is told as it stands.
    """
    for name, value in settings.items():
        if not re.fullmatch(r"[\w./:+*=-]*", value):
            raise ValueError(f"{name}={value!r}")
    return " ".join(f"-c {name}={value}" for name, value in settings.items())


def timeline(control: str) -> int:
    """Number of the timeline that a recovery followed, of what pg_controldata printed."""
    return max(map(int, _TIMELINE.findall(control)), default=1)


def next_transaction(control: str) -> int | None:
    """The first transaction number that a cluster at rest has not given out, epoch and all.

    Args:
        control: what pg_controldata printed of it.

    Returns:
        It; of one that was not shut down, that of its last checkpoint; None: it does not say.
    """
    found = _NEXT_XID.search(control)
    return (int(found[1]) << 32) + int(found[2]) if found else None


def segment_bytes(control: str) -> int:
    """Size of every segment of WAL, of what pg_controldata printed; else initdb's own default."""
    found = _SEGMENT.search(control)
    return int(found[1]) if found else 16 << 20


def fetch_script(argv: Sequence[str]) -> str:
    """The restore_command's script; it is given the name of a segment, and where to put it.

    Args:
        argv: what fetches one, where that is added.
    """
    return _FETCH_SCRIPT.format(fetch=shlex.join(argv))


def complaint(log: str) -> str:
    """Why a recovery did not come to its end: pgBackRest's error, else the server's."""
    lines = [line.strip() for line in log.splitlines()]
    for mark in (r"ERROR: \[\d+\]: (.*)", r"(?:FATAL|PANIC): +(.*)", r"ERROR: +(.*)"):
        for line in reversed(lines):
            if match := re.search(mark, line):
                return match[1]
    return lines[-1] if lines else "its log is empty"
