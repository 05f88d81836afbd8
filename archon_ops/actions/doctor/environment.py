"""Archon's configuration: its secrets stay out of git, and a new .env can be made from git."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from archon_ops.errors import OpsError
from archon_ops.hosts import process
from archon_ops.model.diagnosis import Check, Finding, shell
from archon_ops.settings import archon_variables

_GIT_SECONDS = 10.0
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_NOT_A_REPOSITORY = "not a git repository"


@dataclass(frozen=True)
class EnvFacts:
    """What is known of a folder's .env: names and answers of git, never a value.

    Attributes:
        home: the folder.
        mode: access mode of .env; None where there is none.
        names: variables in .env; None where it cannot be read.
        example: variables in .env.example; None where there is none.
        tracked: whether git has .env; None where git does not tell.
        ignored: whether git ignores it; None likewise.
        trouble: why git does not tell.
    """

    home: Path
    mode: int | None
    names: tuple[str, ...] | None
    example: tuple[str, ...] | None
    tracked: bool | None
    ignored: bool | None
    trouble: str = ""

    @property
    def file(self) -> Path:
        """The .env itself."""
        return self.home / ".env"


def gather(home: Path) -> EnvFacts:
    """Look at a folder."""
    file = home / ".env"
    tracked, trouble = _git(home, "ls-files", "--error-unmatch", "--", ".env")
    ignored, _ = _git(home, "check-ignore", "--quiet", "--no-index", "--", ".env")
    return EnvFacts(
        home=home,
        mode=stat.S_IMODE(file.stat().st_mode) if _is_file(file) else None,
        names=_names(file),
        example=_names(home / ".env.example"),
        tracked=tracked,
        ignored=ignored,
        trouble=trouble,
    )


def judge(facts: EnvFacts) -> tuple[Finding, ...]:
    """Ignored by git, covered by the example, closed to others."""
    return (_ignored(facts), _covered(facts), _closed(facts))


def version_controlled(home: Path) -> bool | None:
    """Whether git has a compose file in this folder; None where git does not tell."""
    answer, _ = _git(home, "ls-files", "--error-unmatch", "--", "docker-compose.yml")
    other, _ = _git(home, "ls-files", "--error-unmatch", "--", "compose.yaml")
    return None if answer is None else bool(answer or other)


def _ignored(facts: EnvFacts) -> Finding:
    check = Check(
        "env.ignored",
        "secrets in the history of the repository",
        shell("git", "-C", facts.home, "check-ignore", ".env"),
    )
    if facts.tracked:
        return check.problem(
            f"{facts.file} is in git",
            "it was added before it was ignored, or by force",
            f"{shell('git', '-C', facts.home, 'rm', '--cached', '.env')}, commit that, "
            "and change every secret in it: the history keeps them",
        )
    if facts.tracked is None:
        if _NOT_A_REPOSITORY in facts.trouble:
            return check.ok(f"{facts.home} is not under git")
        return check.unknown("git does not tell", facts.trouble)
    if facts.ignored:
        return check.ok("git ignores .env")
    return check.warning(
        f"git does not ignore {facts.file}",
        f"no line .env in {facts.home / '.gitignore'}",
        f"echo .env >> {shell(facts.home / '.gitignore')}",
    )


def _covered(facts: EnvFacts) -> Finding:
    check = Check(
        "env.example",
        "a new machine's Archon lacks settings that nobody remembers",
        f"names in {facts.file} and .env.example",
    )
    if facts.names is None:
        return check.note(
            f"there is no {facts.file}", "Archon is configured elsewhere, or not here"
        )
    if facts.example is None:
        return check.warning(
            f"there is no {facts.home / '.env.example'}",
            "nothing in git says what .env has to hold",
            f"sed 's/=.*/=/' {shell(facts.file)} > {shell(facts.home / '.env.example')}",
        )
    missing = sorted(set(facts.names) - set(facts.example))
    if not missing:
        return check.ok(f"all {len(facts.names)} names are in .env.example")
    return check.warning(
        f"not in .env.example: {', '.join(missing)}",
        "they were added to .env only",
        f"add them, without values, to {facts.home / '.env.example'}",
    )


def _closed(facts: EnvFacts) -> Finding:
    check = Check("env.mode", "other users read the secrets", shell("ls", "-l", facts.file))
    if facts.mode is None:
        return check.ok("there is no .env here")
    if not facts.mode & _OTHERS:
        return check.ok(f"mode {facts.mode:04o}")
    return check.note(
        f"{facts.file} has mode {facts.mode:04o}",
        "it was made with the usual umask",
        shell("chmod", "600", facts.file),
    )


def _names(file: Path) -> tuple[str, ...] | None:
    """Names of the variables in a file; None where it is not there or cannot be read."""
    if not _is_file(file):
        return None
    try:
        return tuple(archon_variables(file))
    except OpsError:
        return None


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 - answers False where a folder is closed to us


def _git(home: Path, *args: str) -> tuple[bool | None, str]:
    """Whether git says yes; None with the reason where it cannot."""
    try:
        done = process.run(("git", "-C", str(home), *args), timeout=_GIT_SECONDS)
    except OpsError as error:
        return None, error.message
    if done.returncode in (0, 1):
        return done.returncode == 0, ""
    # On a file system of its own it says more behind that.
    return None, _NOT_A_REPOSITORY if _NOT_A_REPOSITORY in done.stderr else done.reason
