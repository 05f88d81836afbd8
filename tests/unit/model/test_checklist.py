from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from archon_ops.errors import UsageError
from archon_ops.model.backup import Backup
from archon_ops.model.boxes import Box, Evidence
from archon_ops.model.catalog import Catalog
from archon_ops.model.checklist import Phase, boxes, parse_phase
from archon_ops.model.diagnosis import Check, Finding
from archon_ops.model.runs import Phase as RunPhase
from archon_ops.model.runs import Result, RunRecord

MakeBackup = Callable[..., Backup]


def _ok(name: str) -> Finding:
    return Check(name, "", "").ok(f"{name} is well")


def _run(now: datetime, action: str, result: Result = Result.DONE, **details: object) -> RunRecord:
    at = now - timedelta(hours=1)
    return RunRecord(
        id="20251217T090648Z-1f3a",
        action=action,
        source="demo",
        started_at=at,
        pid=7,
        host="here",
        finished_at=at + timedelta(seconds=3),
        result=result,
        exit_code=0,
        details=details,
        phases=(RunPhase("backup.dump", at),),
    )


def _known(
    now: datetime, *findings: Finding, backups: tuple[Backup, ...] = (), **more: object
) -> Evidence:
    given = {f.check: f for f in findings}
    known = Evidence(given, Catalog(backups), (), now, 10, " --source demo")
    return replace(known, **more)  # type: ignore[arg-type]


def _box(phase: Phase, known: Evidence, text: str) -> Box:
    (box,) = (box for box in boxes(phase, known) if text in box.text)
    return box


def test_the_document_has_these_boxes(now: datetime) -> None:
    known = _known(now)
    count = {phase: len(boxes(phase, known)) for phase in Phase}
    assert count == {
        Phase.BEFORE: 5,
        Phase.DURING: 4,
        Phase.AFTER: 5,
        Phase.DAILY: 2,
        Phase.WEEKLY: 2,
        Phase.MONTHLY: 3 + 6,
        Phase.PRACTICE: 10 + 10,
    }


def test_an_open_box_says_why_and_what_to_do(now: datetime) -> None:
    for phase in Phase:
        for box in boxes(phase, _known(now)):
            assert box.why, box
            assert bool(box.to_do) is not box.ticked, box


def test_nothing_is_ticked_that_was_not_looked_at(now: datetime) -> None:
    always = {"Don't: backup code", "Don't: backup containers", "Don't: backup during migrations"}
    always |= {"Don't: use unlimited retention"}
    ticked = {box.text for phase in Phase for box in boxes(phase, _known(now)) if box.ticked}
    assert ticked == always


def test_a_box_is_ticked_by_a_check_that_is_in_order(now: datetime) -> None:
    box = _box(Phase.BEFORE, _known(now, _ok("server")), "PostgreSQL is ready")
    assert box.ticked
    assert box.why == "server: server is well"


@pytest.mark.parametrize("kind", ["note", "warning", "unknown"])
def test_a_box_stays_open_while_its_check_has_something_to_say(now: datetime, kind: str) -> None:
    check = Check("directory", "", "")
    finding: Finding = getattr(check, kind)("it is not there", "nobody made it", "inv doctor --fix")
    box = _box(Phase.BEFORE, _known(now, finding), "writable")
    assert not box.ticked
    assert (box.why, box.to_do) == ("directory: it is not there", "inv doctor --fix")


def test_a_box_stays_open_when_what_it_rests_upon_is_down(now: datetime) -> None:
    down = Check("engine", "", "").problem("the engine is down", "", "start it", blocks=True)
    box = _box(Phase.BEFORE, _known(now, down), "PostgreSQL is ready")
    assert not box.ticked
    assert box.why == "engine: the engine is down"


def test_only_a_restore_of_the_latest_ticks_that_it_restores(
    now: datetime, backup: MakeBackup
) -> None:
    old, new = backup(30, kind="restored"), backup(1)
    assert not _box(Phase.WEEKLY, _known(now, backups=(old, new)), "restorable").ticked
    assert _box(Phase.WEEKLY, _known(now, backups=(old,)), "restorable").ticked
    assert _box(Phase.PRACTICE, _known(now, backups=(old, new)), "Do: test restores").ticked


def test_a_proof_does_not_tick_for_ever(now: datetime, backup: MakeBackup) -> None:
    known = _known(now, backups=(backup(24 * 9, kind="restored"),))
    assert not _box(Phase.WEEKLY, known, "restorable").ticked
    assert _box(Phase.AFTER, known, "Test restoration").ticked


def test_a_verification_is_no_recovery(now: datetime, backup: MakeBackup) -> None:
    known = _known(now, backups=(backup(1, kind="restored"),))
    assert not _box(Phase.MONTHLY, known, "full disaster recovery").ticked
    known = replace(known, records=(_run(now, "restore"),))
    assert _box(Phase.MONTHLY, known, "full disaster recovery").ticked
    known = replace(known, records=(_run(now, "restore", Result.FAILED),))
    assert not _box(Phase.MONTHLY, known, "full disaster recovery").ticked


def test_a_drill_counts_as_a_recovery_when_it_recovered_and_passed(now: datetime) -> None:
    text = "Test disaster recovery procedure"
    for verdict, seconds, ticked in (
        ("PASS", 2.5, True),
        ("INCONCLUSIVE", 2.5, False),
        ("PASS", None, False),  # a runbook that only analyses
    ):
        run = _run(now, "drill", verdict=verdict, recovery_seconds=seconds)
        assert _box(Phase.MONTHLY, _known(now, records=(run,)), text).ticked is ticked


def test_during_tells_of_the_backup_that_runs(now: datetime) -> None:
    running = replace(_run(now, "backup", Result.RUNNING), finished_at=None)
    known = _known(now, records=(running,))
    assert "is at backup.dump" in _box(Phase.DURING, known, "progress").why
    assert not _box(Phase.DURING, known, "file created").ticked
    assert not _box(Phase.DURING, known, "no errors").ticked


def test_during_is_ticked_from_the_last_run(now: datetime, backup: MakeBackup) -> None:
    made = backup(1)
    known = _known(
        now, backups=(made, backup(25)), records=(_run(now, "backup", backup=made.name),)
    )
    assert all(box.ticked for box in boxes(Phase.DURING, known))


def test_a_size_that_jumps_wants_a_look(now: datetime, backup: MakeBackup) -> None:
    known = _known(
        now, backups=(backup(1, size=900), backup(25, size=2000)), records=(_run(now, "backup"),)
    )
    box = _box(Phase.DURING, known, "file size")
    assert not box.ticked
    assert box.why == "900 B, the one before 2.0 KB"


def test_a_damaged_backup_ticks_nothing(now: datetime, backup: MakeBackup) -> None:
    known = _known(now, backups=(backup(1, kind="failed"),))
    assert not _box(Phase.AFTER, known, "integrity").ticked


def test_an_archive_run_is_remembered_for_a_month(now: datetime) -> None:
    moved = _run(now, "prune", archived=["a.dump"])
    assert _box(Phase.MONTHLY, _known(now, records=(moved,)), "Archive old").ticked
    old = replace(moved, started_at=now - timedelta(days=40))
    assert not _box(Phase.MONTHLY, _known(now, records=(old,)), "Archive old").ticked
    assert not _box(Phase.PRACTICE, _known(now, records=(moved,)), "offsite").ticked


def test_practices_are_ticked_from_settings_schedule_and_git(now: datetime) -> None:
    known = _known(now, schedule="crontab:3", backup_on_start=True, versioned=True)
    for text in ("before migrations", "automate", "version control"):
        assert _box(Phase.PRACTICE, known, text).ticked, text


def test_an_unknown_phase_is_named() -> None:
    assert parse_phase("weekly") is Phase.WEEKLY
    with pytest.raises(UsageError, match="'yearly' is no phase"):
        parse_phase("yearly")


def test_every_box_of_the_document_is_there(now: datetime) -> None:
    """The words of the document's checklists, so that a person finds them again."""
    texts = " | ".join(box.text for phase in Phase for box in boxes(phase, _known(now)))
    for words in (
        "Supabase container running",
        "PostgreSQL is ready",
        "> 10x backup size",
        "directory writable",
        "long-running operations",
        "backup progress",
        "file created",
        "file size",
        "no errors",
        "file exists",
        "pg_restore --list",
        "dev environment",
        "documentation if needed",
        "external storage (if automated)",
        "full disaster recovery",
        "retention policy",
        "storage capacity",
        "monitoring alerts",
        "credentials if rotated",
        "update this documentation",
        "backup health",
        "disk space in backup directory",
        "latest backup is restorable",
        "disaster recovery procedure",
        "old backups to external storage",
        "size trends",
    ):
        assert words in texts, words
