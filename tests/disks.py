"""Small disks for tests: a file system of a few megabytes over a folder, and how to fill it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support import require

_SECONDS = 60


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of a few megabytes, mounted over a folder with the folder's content in it."""
    require(os.geteuid() == 0 and shutil.which("mount"), "root, to mount a small tmpfs")
    source = folder.with_name(folder.name + ".full")
    if folder.exists():
        folder.rename(source)
    folder.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, check=False, timeout=_SECONDS)
    try:
        require(done.returncode == 0, f"a right to mount: {done.stderr.decode()}")
        if source.exists():
            shutil.copytree(source, folder, dirs_exist_ok=True, symlinks=True)
        yield folder
    finally:
        undo = ["umount", "--lazy", str(folder)]
        subprocess.run(undo, check=False, capture_output=True, timeout=_SECONDS)
        folder.rmdir()
        if source.exists():
            source.rename(folder)


def fill(folder: Path, but: int) -> Path:
    """Take all of a file system but some bytes, whoever else takes of it meanwhile."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 16))
        file.truncate(max(0, file.tell() - but))
    return filler
