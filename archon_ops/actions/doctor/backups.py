"""The backups and the runs, from what lies in the directory alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from archon_ops.model.backup import Backup, Trust
from archon_ops.model.catalog import Catalog
from archon_ops.model.diagnosis import Check, Finding
from archon_ops.model.health import Health, Level
from archon_ops.model.runs import Result, RunRecord
from archon_ops.model.units import human_size, zulu

LARGE_BYTES = 1 << 30
INCREMENTAL_BYTES = 100 << 30
_FEWER = 5


@dataclass(frozen=True)
class BackupFacts:
    """What is known without a server.

    Attributes:
        catalog: the backups.
        oddities: what bears a dump's name and is none, one line each.
        health: the verdict on their age.
        records: of the runs, newest first.
        damaged: names of run records that cannot be read.
        keep: how many backups retention keeps.
        now: UTC time.
    """

    catalog: Catalog
    oddities: tuple[str, ...]
    health: Health
    records: tuple[RunRecord, ...]
    damaged: tuple[str, ...]
    keep: int
    now: datetime


def judge(facts: BackupFacts, inv: str) -> Iterator[Finding]:
    """All findings on backups and runs."""
    yield health(facts.health, inv)
    yield trust(facts.catalog, inv)
    yield size(facts.catalog, facts.keep, inv)
    yield last_run(facts.records, inv)
    yield killed(facts.records, inv)
    yield odd(facts.oddities, facts.damaged, inv)
    if finding := expired(facts.records, facts.now, inv):
        yield finding


def health(verdict: Health, inv: str) -> Finding:
    """How old the newest backup is."""
    check = Check("backups.health", "more is lost than need be", "snapshot time of the newest")
    said = "; ".join((verdict.message, *verdict.reasons))
    mend = f"inv backup{inv}"
    if verdict.level is Level.HEALTHY:
        return check.note(said, "one of two clocks is wrong") if verdict.reasons else check.ok(said)
    if verdict.level is Level.AGING:
        return check.warning(said, "no backup was taken since", mend)
    cause = "backups are not taken regularly, or fail; without one everything can be lost"
    return check.problem(said, cause, mend)


def trust(catalog: Catalog, inv: str) -> Finding:
    """What is known of the newest backup's content."""
    check = Check("backups.trust", "a restore refuses the backup", "manifest and later checks")
    newest = catalog.subject()
    if newest is None:
        return check.unknown("there is no backup", "none was taken", f"inv backup{inv}")
    if newest.trust is Trust.FAILED:
        good = catalog.newest_trustworthy()
        rest = f"the newest good one is {good.name}" if good else "there is no good one"
        return check.problem(
            f"{newest.name} is damaged: {'; '.join(newest.problems)}; {rest}",
            "the disk, or somebody, changed it after it was written",
            f"inv backup{inv}; then look at the disk's log (dmesg)",
        )
    if newest.trust is Trust.UNMANAGED:
        return check.warning(
            f"{newest.name} has no manifest: nothing of its content can be proven",
            "it was written by the former script",
            f"inv backup{inv}",
        )
    if newest.restored_at is None:
        return check.note(
            f"{newest.name} was read back, but never restored",
            "only a restore proves a backup",
            f"inv verify latest --restore{inv}",
        )
    return check.ok(f"{newest.name} was restored and found equal at {zulu(newest.restored_at)}")


def size(catalog: Catalog, keep: int, inv: str) -> Finding:
    """Whether backups grow out of what a dump is good for."""
    check = Check(
        "backups.size", "backups are larger than 1 GB each", "size of the newest, its tables"
    )
    newest = catalog.subject()
    if newest is None:
        return check.ok("there is no backup")
    if newest.size_bytes <= LARGE_BYTES:
        return check.ok(f"{newest.name} has {human_size(newest.size_bytes)}")
    fewer = f"inv backup --retention {_FEWER}{inv}" if keep > _FEWER else ""
    archive = f"inv prune --archive-to FOLDER --older-than 7d{inv}"
    bytes_in = newest.manifest.database_bytes if newest.manifest else 0
    beyond = "; beyond 100 GB archive WAL instead" if bytes_in > INCREMENTAL_BYTES else ""
    return check.warning(
        f"{newest.name} has {human_size(newest.size_bytes)}, {keep} are kept",
        f"the largest tables: {_largest(newest)}",
        " and ".join(part for part in (fewer, archive) if part) + beyond,
    )


def last_run(records: tuple[RunRecord, ...], inv: str) -> Finding:
    """Whether the last backup that was tried was taken."""
    check = Check(
        "runs.last", "backups stop coming, and nobody notices", "run records in .ops/runs"
    )
    tried = (r for r in records if r.action == "backup" and r.result is not Result.RUNNING)
    last = max(tried, key=lambda r: (r.started_at, r.id), default=None)
    if last is None:
        return check.ok("no backup was tried yet")
    if last.result is Result.DONE:
        return check.ok(f"backup {last.id} is done")
    return check.problem(
        f"backup {last.id} {last.result.value}: {last.reason}",
        f"it hinted at: {last.hint}"
        if last.hint
        else "its phases: " + ", ".join(phase.name for phase in last.phases),
        f"inv backup{inv}",
    )


def killed(records: tuple[RunRecord, ...], inv: str) -> Finding:
    """Whether runs vanished; the next run sweeps what they left."""
    check = Check("runs.killed", "files and sessions are left over", "run records in .ops/runs")
    gone = [record for record in records if record.result is Result.KILLED]
    if not gone:
        return check.ok("no run vanished")
    last = gone[0]
    return check.note(
        f"{len(gone)} of {len(records)} runs vanished, the last is {last.action} {last.id}",
        "its process was killed, or the machine went down",
        f"the next run sweeps what it left: inv backup{inv}",
    )


def odd(oddities: tuple[str, ...], damaged: tuple[str, ...], inv: str) -> Finding:
    """Whether something lies in the directory that is not understood."""
    check = Check("directory.content", "a backup is missing in the list", "names in the directory")
    lines = (*oddities, *(f"run record {name} cannot be read" for name in damaged))
    if not lines:
        return check.ok("nothing odd lies there")
    return check.note("; ".join(lines[:3]), "somebody else writes there", f"inv backups{inv}")


def expired(records: tuple[RunRecord, ...], now: datetime, inv: str) -> Finding | None:
    """Whether what a restore kept is due to go, as the last run noted; the server is not asked."""
    noted = next((r.details["kept"] for r in records if "kept" in r.details), None)
    if not isinstance(noted, dict) or not isinstance(noted.get("expires_at"), str):
        return None
    until = datetime.fromisoformat(noted["expires_at"])
    size_text = human_size(int(noted.get("size_bytes", 0)))
    return judge_kept(str(noted.get("name")), size_text, until - now, inv)


def judge_kept(name: str, size_text: str, left: timedelta, inv: str) -> Finding:
    """Judge something kept for an undo by the time that is left to it."""
    check = Check("kept", "the server's disk holds the database twice", "kept databases")
    if left.total_seconds() > 0:
        return check.ok(f"{name} ({size_text}) is kept for an undo")
    return check.note(
        f"{name} ({size_text}) is kept beyond its time",
        "no run came since that could have dropped it",
        f"inv undo --finalize{inv}",
    )


def _largest(backup: Backup) -> str:
    if backup.manifest is None:
        return "not known of a dump without manifest"
    tables = sorted(backup.manifest.sizes, key=lambda s: s.total_bytes, reverse=True)[:3]
    return ", ".join(f"{t.schema}.{t.table} {human_size(t.total_bytes)}" for t in tables)
