from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from archon_ops.storage.atomic import Temporary
from archon_ops.storage.directory import Directory
from archon_ops.storage.names import manifest_path, verify_path
from archon_ops.storage.sweep import sweep

Put = Callable[..., Path]


def test_nothing_to_sweep(tmp_path: Path) -> None:
    assert sweep(Directory(tmp_path / "none")) == ()


def test_what_dead_runs_left_goes_and_all_else_stays(directory: Directory, put: Put) -> None:
    whole, half, safe = put(1), put(2), put(3, safety=True)
    verify_path(half).touch()
    half.unlink()
    safe.unlink()
    (directory.ops / "runs").mkdir(parents=True)
    dead = [
        directory.path / ".tmp-dead",
        directory.safety / ".tmp-dead",
        directory.ops / ".tmp-dead",
        directory.ops / "runs" / ".tmp-dead",
    ]
    kept = [
        directory.path / "package.json",
        directory.path / "x.verify.json",
        directory.path / "notes.tmp",
        directory.ops / "lock",
    ]
    for path in (*dead, *kept):
        path.touch()
    (directory.path / ".tmp-folder").mkdir()
    gone = {*dead, manifest_path(half), verify_path(half), manifest_path(safe)}
    assert set(sweep(directory)) == gone
    assert not any(map(os.path.lexists, gone))
    assert all(path.exists() for path in (*kept, whole, manifest_path(whole)))
    assert sweep(directory) == ()


def test_a_link_that_looks_like_ours_is_left_alone(directory: Directory, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (directory.path / ".tmp-link").symlink_to(tmp_path / "victim")
    assert sweep(directory) == ()
    assert (tmp_path / "victim").read_text() == "precious"


def test_what_is_being_written_stays(directory: Directory) -> None:
    with Temporary(directory.path, "run") as temporary:
        temporary.write(b"x")
        assert sweep(directory) == ()
        temporary.publish(directory.path / "a")
