"""A backup directory with whatever is laid into it, watched."""

from __future__ import annotations

from pathlib import Path

import pytest

from archon_ops.model.health import Thresholds
from archon_ops.monitor.snapshot import Reader
from archon_ops.monitor.watched import Watched
from archon_ops.storage.directory import Directory
from tests.unit.storage.conftest import directory, manifest, mounted, now, put

__all__ = ["directory", "manifest", "mounted", "now", "put"]


@pytest.fixture
def source(directory: Directory, tmp_path: Path) -> Watched:
    return Watched(
        name="archon",
        display_name="Archon Knowledge Base",
        directory=directory,
        thresholds=Thresholds(),
        max_retention=10,
        pitr_due={},
        home=tmp_path,
    )


@pytest.fixture
def reader(source: Watched, monkeypatch: pytest.MonkeyPatch) -> Reader:
    for name in ("ENCRYPTION_KEY", "SUPABASE_SERVICE_KEY"):
        monkeypatch.delenv(name, raising=False)
    return Reader(source)
