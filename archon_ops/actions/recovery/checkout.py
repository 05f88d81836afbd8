"""Archon's code again: its repository, at the commit that is asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from archon_ops.errors import OpsError, PreconditionError, UsageError
from archon_ops.hosts import process

_CLONE_SECONDS = 900.0
_ANSWER_SECONDS = 30.0
# A commit, a tag or a branch; never an option, a range, or a path out of the repository.
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")
# A question for a password would wait for ever: nobody sits there.
_SILENT = {"GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -o BatchMode=yes"}


@dataclass(frozen=True)
class CheckedOut:
    """A folder with Archon's code.

    Attributes:
        folder: where it is.
        commit: the commit that it is at, in full.
        cloned: whether it had to be cloned.
    """

    folder: Path
    commit: str
    cloned: bool


def require_place(folder: Path) -> None:
    """Make sure that Archon's code can be put, or is, in a folder.

    Raises:
        PreconditionError: something else is in it.
    """
    if _taken(folder) and _commit_in(folder) is None:
        raise PreconditionError(
            f"{folder} is not empty and no repository, so nothing can be cloned into it",
            "set archon_home in archon.toml to the folder where Archon shall be",
        )


def check_out(url: str, revision: str, folder: Path) -> CheckedOut:
    """Clone a repository and check a revision out; a folder that has it already stays as it is.

    Args:
        url: of the repository, or a path; credentials belong into git's own store.
        revision: a commit, a tag or a branch; empty: what the repository calls HEAD.
        folder: where it shall be; anything but an empty folder there is never overwritten.

    Raises:
        UsageError: URL or revision is not usable.
        PreconditionError: something else is in the folder, or another commit is checked out.
        OpsError: git failed.
    """
    _check(url, revision)
    if _taken(folder):
        return _kept(revision, folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _git("clone", "--no-checkout", "--", url, str(folder), seconds=_CLONE_SECONDS)
    at = _resolved(folder, revision)
    _git("-C", str(folder), "checkout", "--quiet", "--detach", at, seconds=_CLONE_SECONDS)
    return CheckedOut(folder, at, cloned=True)


def head_of(folder: Path) -> str | None:
    """The commit that a folder is at; None where it is no repository, or git is not there."""
    try:
        done = process.run(
            ("git", "-C", str(folder), "rev-parse", "--verify", "HEAD"), timeout=_ANSWER_SECONDS
        )
    except PreconditionError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _taken(folder: Path) -> bool:
    return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))


def _commit_in(folder: Path) -> str | None:
    return head_of(folder) if (folder / ".git").exists() else None


def _check(url: str, revision: str) -> None:
    parts = urlsplit(url)
    if not url or url.startswith("-") or "::" in url:
        raise UsageError(f"{url!r} is no repository to clone", "give a URL or a path")
    if parts.password or (parts.scheme in ("http", "https") and parts.username):
        raise UsageError(
            "the repository's URL holds credentials, which others could read on the command line",
            "leave them out; git takes them from its credential store",
        )
    if revision and (not _REVISION.fullmatch(revision) or ".." in revision):
        raise UsageError(f"{revision!r} is no commit, tag or branch", "give a commit's hexadecimal")


def _kept(revision: str, folder: Path) -> CheckedOut:
    """What is in the folder already, if it is what was asked for."""
    require_place(folder)
    at = _commit_in(folder) or ""
    if revision and _resolved(folder, revision) != at:
        raise PreconditionError(
            f"{folder} is at {at[:12]}, not at {revision}; it may hold work of yours",
            f"git -C {folder} checkout {revision}",
        )
    return CheckedOut(folder, at, cloned=False)


def _resolved(folder: Path, revision: str) -> str:
    """The full name of a commit; a branch is looked for where it was cloned from."""
    names = (revision, f"origin/{revision}") if revision else ("origin/HEAD", "HEAD")
    for name in names:
        argv = ("git", "-C", str(folder), "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        done = process.run(argv, timeout=_ANSWER_SECONDS)
        if done.returncode == 0:
            return done.stdout.strip()
    raise PreconditionError(
        f"the repository has no {revision or 'commit'}", "git log in it shows what there is"
    )


def _git(*args: str, seconds: float) -> None:
    done = process.run(("git", *args), timeout=seconds, env=_SILENT)
    if done.returncode != 0:
        verb = next(word for word in args if word in ("clone", "checkout"))
        raise OpsError(f"git {verb} failed: {done.reason}", "run it by hand to see all it says")
