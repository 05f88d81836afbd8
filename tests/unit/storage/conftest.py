"""Real files in a real folder."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from archon_ops.model.backup import Extension, KeyFingerprint, Manifest, ServerFacts, TableSize
from archon_ops.model.dump_names import dump_name
from archon_ops.model.fingerprint import SequencePosition, TableFingerprint
from archon_ops.storage import manifest as manifests
from archon_ops.storage.directory import Directory

NOW = datetime(2025, 12, 17, 10, 6, 48, 123456, tzinfo=UTC)
RUN = "20251217T100648Z-0a1b"


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def manifest() -> Manifest:
    """A manifest in which every field says something."""
    return Manifest(
        name=dump_name(NOW),
        source="demo",
        display_name="Demo „база“",
        label=None,
        snapshot_at=NOW,
        finished_at=NOW + timedelta(seconds=4),
        size_bytes=3,
        sha256="ab" * 32,
        codec="gzip:1",
        pg_dump="18.1",
        toc_entries=7,
        server=ServerFacts(
            "embedded", "local", "18.1", 18, "7301234567890123456", "postgres", 5, "UTF8", "C", "C"
        ),
        snapshot="1:1:",
        tables=(TableFingerprint("public", "archon_tasks", 12, "1:2:3:4", None, ("id", "a b")),),
        sequences=(SequencePosition("public", "s", None, 4),),
        inventory={"table public.archon_tasks": "00ff"},
        attributes={"owner": "postgres"},
        extensions=(Extension("vector", "0.8.0", "public"),),
        roles=("anon",),
        sizes=(TableSize("public", "archon_tasks", 1, 2, 3, 6),),
        database_bytes=2**40,
        migration_head="0.1.0/x",
        key=KeyFingerprint("ENCRYPTION_KEY", "00", 100000, "ff"),
        not_covered=("schema cron",),
        tool="0.1",
    )


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    made = Directory(tmp_path / "backups")
    made.prepare()
    return made


Put = Callable[..., Path]


@pytest.fixture
def put(directory: Directory, manifest: Manifest) -> Put:
    """Lay a backup into the directory: `hours` old, with a manifest unless it is foreign."""

    def lay(
        hours: float = 0,
        *,
        content: bytes = b"PGDMP",
        foreign: bool = False,
        safety: bool = False,
        label: str | None = None,
    ) -> Path:
        at = NOW - timedelta(hours=hours)
        if safety:
            directory.prepare_safety()
        dump = (directory.safety if safety else directory.path) / dump_name(at, label)
        dump.write_bytes(content)
        os.utime(dump, (at.timestamp(), at.timestamp()))
        if not foreign:
            own = replace(
                manifest,
                name=dump.name,
                label=label,
                snapshot_at=at,
                size_bytes=len(content),
                sha256=hashlib.sha256(content).hexdigest(),
            )
            manifests.write(dump, own, RUN)
        return dump

    return lay


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a small tmpfs with the given options; skips where that is not allowed."""
    made: list[Path] = []

    def mount(options: str) -> Path:
        path = tmp_path / f"mount{len(made)}"
        path.mkdir()
        argv = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
        if subprocess.run(argv, capture_output=True, check=False).returncode:
            pytest.skip("may not mount a tmpfs here (needs root)")
        made.append(path)
        return path

    yield mount
    for path in made:
        subprocess.run(["umount", str(path)], check=True)  # noqa: S607 - wherever it is


@pytest.fixture(params=[0o000, 0o022, 0o277])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """Any umask: what is written must not depend on it."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)
