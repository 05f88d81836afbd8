"""Backups made of thin air: the model needs no files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from archon_ops.model.backup import Backup, Manifest, ServerFacts, Verification
from archon_ops.model.dump_names import dump_name
from archon_ops.model.fingerprint import TableFingerprint

NOW = datetime(2025, 12, 17, 10, 6, 48, tzinfo=UTC)
SERVER = ServerFacts("embedded", "local", "18.1", 18, "7", "postgres", 5, "UTF8", "C", "C")
TABLE = TableFingerprint("public", "archon_tasks", 12, "1:2:3:4", None, ("id",))
OTHER = TableFingerprint("public", "flowise", 3, "1:2:3:4", None, ("id",))


def _manifest(name: str, at: datetime, label: str | None, size: int) -> Manifest:
    return Manifest(
        name=name,
        source="demo",
        display_name="Demo",
        label=label,
        snapshot_at=at,
        finished_at=at + timedelta(seconds=4),
        size_bytes=size,
        sha256="ab" * 32,
        codec="gzip:1",
        pg_dump="18.1",
        toc_entries=7,
        server=SERVER,
        snapshot="1:1:",
        tables=(TABLE, OTHER),
        sequences=(),
        inventory={},
        attributes={},
        extensions=(),
        roles=(),
        sizes=(),
        database_bytes=1,
        migration_head=None,
        key=None,
        not_covered=("schema cron",),
        tool="0.1",
    )


def make(
    hours: float,
    *,
    kind: str = "checked",
    label: str | None = None,
    safety: bool = False,
    name: str | None = None,
    size: int = 468381,
) -> Backup:
    """A backup taken `hours` before NOW; kinds: checked, restored, failed, edited, unmanaged."""
    at = NOW - timedelta(hours=hours)
    name = name or dump_name(at, label)
    backup = Backup(name, size, at, _manifest(name, at, label, size), safety=safety)
    look = Verification(at + timedelta(minutes=1), "checksum", True, (), "ab" * 32, 1.0)
    if kind == "restored":
        return replace(backup, verifications=(replace(look, method="restore"),))
    if kind == "failed":
        return replace(
            backup, verifications=(replace(look, passed=False, problems=("checksum differs",)),)
        )
    if kind == "edited":
        return replace(backup, manifest=None, manifest_problem="was changed")
    return replace(backup, manifest=None) if kind == "unmanaged" else backup


@pytest.fixture(scope="session")
def now() -> datetime:
    return NOW


@pytest.fixture(scope="session")
def backup() -> Callable[..., Backup]:
    return make
