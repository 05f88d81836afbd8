"""What `pgbackrest verify` found: files that are not what was written, and what is missing."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

from archon_ops.model.pitr.wal import segment_before

_FILE = re.compile(
    r"(?:INFO|WARN|ERROR|DETAIL): (?:\[\d+\]: )?(invalid checksum|invalid size|file missing|"
    r"missing file|invalid result|unable to read|unable to open missing file|unable to load)\b"
    r"[^']*'([^']+)'"
)
_RANGE = re.compile(r"archiveId: (\S+), wal start: ([0-9A-F]{24}), wal stop: ([0-9A-F]{24})")
_BACKUP = re.compile(r"backup: (\S+), status: (\S+), total files checked: (\d+)")
_STATUS = re.compile(r"^\s*status: (\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Verified:
    """What a verification found.

    Attributes:
        problems: one line each; names files.
        backups: label -> whether it is valid.
        files: how many were read.
    """

    problems: tuple[str, ...]
    backups: dict[str, bool]
    files: int


def parse_verify(text: str, segment_bytes: int) -> Verified:
    """Read what it printed with --output=text --verbose --log-level-console=detail.

    Its exit status says nothing of what it found, and a segment that is missing in the middle is
    told as two ranges, and no fault to it: to a recovery it is one.

    Args:
        text: all of it.
        segment_bytes: size of a WAL segment.
    """
    problems = [f"{what}: {path}" for what, path in _FILE.findall(text)]
    problems += _gaps(_RANGE.findall(text), segment_bytes)
    # It tells each twice where it writes to a log and to us.
    backups = {label: status == "valid" for label, status, _ in _BACKUP.findall(text)}
    files = {label: int(count) for label, _, count in _BACKUP.findall(text)}
    status = next(iter(_STATUS.findall(text)), "unknown")
    problems += [f"backup {name} is not valid" for name, valid in backups.items() if not valid]
    if not problems and status != "ok":
        problems.append(f"pgbackrest verify ended with status {status}")
    return Verified(tuple(dict.fromkeys(problems)), backups, sum(files.values()))


def _gaps(ranges: list[tuple[str, str, str]], segment_bytes: int) -> list[str]:
    """Segments that are missing between those that are there, on one timeline of one server."""
    found = []
    ordered = sorted(set(ranges))
    for (archive, _, stop), (its, start, _) in itertools.pairwise(ordered):
        before = segment_before(start, segment_bytes)
        if archive == its and stop[:8] == start[:8] and before != stop:
            found.append(f"WAL is missing between {stop} and {start}: no recovery gets across")
    return found
