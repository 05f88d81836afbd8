"""A git repository of a test's own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.support import require


def git(folder: Path, *args: str) -> str:
    """What git answers in a folder."""
    require(shutil.which("git"), "the program git")
    who = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    argv = ["git", *who, "-C", str(folder), *args]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def begin(folder: Path) -> str:
    """Make a folder a repository with all that is in it; its first commit."""
    git(folder, "init", "--quiet", "--initial-branch=main")
    return commit(folder, "first")


def commit(folder: Path, message: str) -> str:
    """Commit everything; the commit."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)
    return git(folder, "rev-parse", "HEAD")
