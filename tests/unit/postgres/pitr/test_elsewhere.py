"""A sandbox's folder that lies elsewhere: swept with its place, unless its run lives."""

from __future__ import annotations

import shutil
from pathlib import Path

from archon_ops.postgres.pitr import elsewhere


def folders(tmp_path: Path) -> tuple[Path, Path]:
    place, scratch = tmp_path / "place", tmp_path / "scratch"
    place.mkdir()
    scratch.mkdir()
    return place, scratch


def test_nothing_is_left_of_it(tmp_path: Path) -> None:
    place, scratch = folders(tmp_path)
    with elsewhere.made(place, scratch) as folder:
        assert folder.parent == scratch
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "data").mkdir()
    assert list(scratch.iterdir()) == []
    assert list(place.iterdir()) == []


def test_a_dead_runs_is_swept(tmp_path: Path) -> None:
    place, scratch = folders(tmp_path)
    with elsewhere.made(place, scratch) as folder:
        shutil.copytree(place, tmp_path / "kept")
    (folder / "data").mkdir(parents=True)  # as a kill leaves it
    elsewhere.sweep(tmp_path / "kept")
    assert list(scratch.iterdir()) == []


def test_a_copy_of_our_folders_does_not_end_the_original(tmp_path: Path) -> None:
    place, scratch = folders(tmp_path)
    with elsewhere.made(place, scratch) as folder:
        (folder / "data").mkdir()
        shutil.copytree(place, tmp_path / "copy")
        elsewhere.sweep(tmp_path / "copy")
        assert (folder / "data").is_dir()


def test_a_record_that_names_something_else_removes_nothing(tmp_path: Path) -> None:
    place, scratch = folders(tmp_path)
    (scratch / "archon_room-x").write_text("a file")
    for text in ("", str(scratch), "archon_room-x", str(scratch / "archon_room-x")):
        (place / "elsewhere").write_text(text)
        elsewhere.sweep(place)
    assert (scratch / "archon_room-x").read_text() == "a file"
