from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from archon_ops.model.backup import KeyFingerprint, Manifest, Verification
from archon_ops.model.runs import Result, RunRecord
from archon_ops.monitor.snapshot import Reader, Snapshot
from archon_ops.monitor.view import local_view
from archon_ops.storage import manifest as manifests
from archon_ops.storage.directory import Directory
from archon_ops.storage.journal import Journal
from archon_ops.storage.names import manifest_path
from archon_ops.storage.verifications import append_verification

Put = Callable[..., Path]
RUN = "20251217T100648Z-0a1b"


def _record(at: datetime, action: str, result: Result, number: int, **more: object) -> RunRecord:
    run = f"{at:%Y%m%dT%H%M%SZ}-{number:04x}"
    ended = at + timedelta(seconds=5)
    return RunRecord(run, action, "archon", at, 1, "host", ended, result, 0, details=more)


def _look(dump: Path, at: datetime, *, passed: bool) -> None:
    sha256 = hashlib.sha256(dump.read_bytes()).hexdigest()
    problems = () if passed else ("checksum differs",)
    append_verification(dump, Verification(at, "checksum", passed, problems, sha256, 1.0), RUN)


def test_a_directory_that_is_missing_holds_no_backups(reader: Reader, now: datetime) -> None:
    reader.watched.directory.path.rmdir()
    found = reader.look(now)
    assert (found.status["health"], found.status["count"]) == ("missing", 0)
    assert found.status["disk_usage_percent"] is None


def test_what_cannot_be_read_is_critical_and_says_why(reader: Reader, now: datetime) -> None:
    reader.watched.directory.path.rmdir()
    reader.watched.directory.path.write_text("no folder")
    found = reader.look(now)
    assert found.trouble is not None
    assert found.status["health"] == "critical"
    assert "Not a directory" in str(found.verdict["reasons"])
    assert found.verdict["healthy"] is False


def test_age_never_hides_damage(reader: Reader, put: Put, now: datetime) -> None:
    put(30)
    fresh = put(1)
    assert reader.read(now).verdict["healthy"] is True
    _look(fresh, now, passed=False)
    found = reader.read(now)
    assert (found.verdict["healthy"], found.verdict["status"]) == (False, "critical")
    assert found.status["health_message"] == "Backup is damaged (1.0h old)"
    assert found.status["health_reasons"] == ["checksum differs"]


def test_a_verdict_that_cannot_be_read_is_not_a_good_one(
    reader: Reader, put: Put, now: datetime
) -> None:
    dump = put(1)
    dump.with_name(f"{dump.stem}.verify.json").write_text("{")
    verdict = reader.read(now).verdict
    assert (verdict["healthy"], verdict["status"]) == (False, "aging")
    assert "cannot be read" in str(verdict["reasons"])


def test_foreign_dumps_are_judged_by_age_alone_and_say_so(
    reader: Reader, put: Put, now: datetime
) -> None:
    put(7.7, foreign=True)
    status = reader.read(now).status
    assert (status["health"], status["trust"]) == ("aging", "unmanaged")
    assert "judged by its age alone" in str(status["health_reasons"])


def test_a_failed_last_run_is_shown_until_one_succeeds(
    reader: Reader, put: Put, directory: Directory, now: datetime
) -> None:
    put(1)
    journal = Journal(directory)
    failed = _record(now - timedelta(hours=2), "backup", Result.FAILED, 1)
    journal.start(replace(failed, reason="no space left"))
    journal.start(_record(now - timedelta(hours=3), "verify", Result.DONE, 2))
    status = reader.read(now).status
    assert status["failing"] == [
        {
            "action": "backup",
            "at": "2025-12-17T08:06:48Z",
            "result": "failed",
            "reason": "no space left",
        }
    ]
    assert "no space left" in str(status["health_reasons"])
    journal.start(_record(now - timedelta(hours=1), "backup", Result.DONE, 3))
    status = reader.read(now).status
    assert (status["failing"], status["last_failure"]) == ([], None)
    assert status["last_success"] == "2025-12-17T09:06:48Z"


def test_drills_and_channels_come_from_the_records(
    reader: Reader, directory: Directory, now: datetime
) -> None:
    journal = Journal(directory)
    details = {"runbook": "drill", "verdict": "PASS", "recovery_seconds": 12.5}
    journal.start(_record(now - timedelta(hours=2), "drill", Result.DONE, 1, **details))
    sent = {"log": "", "ping": "refused"}
    journal.start(_record(now - timedelta(hours=1), "alert", Result.FAILED, 2, channels=sent))
    status = reader.read(now).status
    assert status["last_drill"] == {"at": "2025-12-17T08:06:48Z", **details}
    assert [(c["channel"], c["arrived"]) for c in status["channels"]] == [  # type: ignore[index, attr-defined]
        ("log", True),
        ("ping", False),
    ]


def test_only_what_changed_is_read_again(
    reader: Reader, put: Put, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = put(2), put(1)
    reader.read(now)
    read: list[str] = []
    really = manifests.read

    def spied(dump: Path) -> Manifest | None:
        read.append(dump.name)
        return really(dump)

    monkeypatch.setattr(manifests, "read", spied)
    assert reader.read(now).status["count"] == 2
    assert read == []
    _look(first, now, passed=True)
    before = second.stat()
    second.write_bytes(b"PGDMX")
    os.utime(second, ns=(before.st_atime_ns, before.st_mtime_ns))  # as if nothing had been done
    manifest_path(second).unlink()
    found = reader.read(now)
    assert sorted(read) == sorted([first.name, second.name])
    assert found.status["unmanaged_count"] == 1
    first.unlink()
    assert reader.read(now).status["count"] == 1
    put(3, label="before-migration")
    view = local_view(reader.read(now))
    assert (view.count, view.labelled) == (1, 1)


def test_what_is_remembered_says_the_same(reader: Reader, put: Put, now: datetime) -> None:
    put(2, label="release")
    put(1, safety=True)

    def said() -> tuple[object, object, object]:
        found: Snapshot = reader.read(now)
        return found.status, found.listing, found.verdict

    assert said() == said()
    assert said()[0]["archon_rows"] == 12  # type: ignore[index]


def test_the_key_of_today_is_compared_with_the_newest_backups(
    reader: Reader, put: Put, manifest: Manifest, now: datetime, tmp_path: Path
) -> None:
    dump = put(1)
    digest = hashlib.pbkdf2_hmac("sha256", b"the key", b"\0", 10).hex()
    own = manifests.read(dump)
    assert own is not None
    manifest_path(dump).unlink()
    known = KeyFingerprint("ENCRYPTION_KEY", "00", 10, digest)
    manifests.write(dump, replace(own, key=known), RUN)
    assert reader.read(now).key_changed is None
    (tmp_path / ".env").write_text("ENCRYPTION_KEY=the key\n")
    assert reader.read(now).key_changed is False
    (tmp_path / ".env").write_text("ENCRYPTION_KEY=another\n")
    found = reader.read(now)
    assert found.status["encryption_key_changed"] is True
    assert dump.name in str(found.status["health_reasons"])
    # One who may read nothing but the directory knows what was written down there.
    confined = Reader(replace(reader.watched, home=None))
    assert confined.read(now).key_changed is None
    journal = Journal(reader.watched.directory)
    for hours, changed in ((2, True), (1, False)):
        at = now - timedelta(hours=hours)
        journal.start(_record(at, "alert", Result.DONE, hours, key_changed=changed))
        assert confined.read(now).key_changed is changed
        assert ("as inv alert found" in str(confined.read(now).verdict)) is changed
