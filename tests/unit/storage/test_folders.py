from __future__ import annotations

import stat
from pathlib import Path

import pytest

from archon_ops.errors import PreconditionError
from archon_ops.storage.folders import ensure_folder


def test_a_folder_is_private_under_any_umask(tmp_path: Path, umask: int) -> None:
    ensure_folder(tmp_path / "new")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_one_that_exists_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir(mode=0o755)
    (tmp_path / "old").chmod(0o755)
    ensure_folder(tmp_path / "old")
    assert stat.S_IMODE((tmp_path / "old").stat().st_mode) == 0o755


def test_a_file_or_a_missing_parent_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PreconditionError, match="is not a folder"):
        ensure_folder(tmp_path / "file")
    with pytest.raises(PreconditionError, match="No such file"):
        ensure_folder(tmp_path / "no" / "where")
