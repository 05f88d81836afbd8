from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from archon_ops.errors import UsageError
from archon_ops.model.backup import Backup
from archon_ops.model.dump_names import dump_name, is_dump_name, named_at

Make = Callable[..., Backup]


def test_no_label_can_be_taken_for_a_verification_result() -> None:
    with pytest.raises(UsageError):
        dump_name(datetime(2025, 1, 1, tzinfo=UTC), "x.verify")
    assert not is_dump_name("archon_postgres-20250101_000000-x.verify.dump")
    assert is_dump_name("archon_postgres-20250101_000000-verify.dump")


def test_the_time_in_a_name() -> None:
    at = datetime(2025, 12, 17, 2, 24, 48, tzinfo=UTC)
    assert named_at(dump_name(at, "before-migration")) == at
    assert named_at("archon_postgres-20251399_000000.dump") is None
    assert named_at("archon_postgres-BEFORE_MIGRATION.dump") is None


def test_a_copied_backup_with_an_edited_manifest_keeps_its_age(backup: Make, now: datetime) -> None:
    edited = replace(backup(30, kind="edited"), modified_at=now)
    assert edited.taken_at == now - timedelta(hours=30)


def test_a_foreign_dump_is_as_old_as_its_file(backup: Make, now: datetime) -> None:
    foreign = replace(backup(30, kind="unmanaged"), modified_at=now)
    assert foreign.taken_at == now


def test_last_passed_ignores_failures_and_other_bytes(backup: Make) -> None:
    restored = backup(5, kind="restored")
    (look,) = restored.verifications
    later = replace(look, at=look.at + timedelta(hours=1))
    looks = (look, replace(later, passed=False), replace(later, sha256="00" * 32))
    assert replace(restored, verifications=looks).last_passed == look
