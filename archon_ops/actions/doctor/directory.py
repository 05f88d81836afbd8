"""The backup directory: there, ours, writable, closed to others, with room."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from archon_ops.errors import OpsError
from archon_ops.model.diagnosis import Check, Finding, shell
from archon_ops.model.units import human_size
from archon_ops.storage.atomic import FILE_MODE, Temporary
from archon_ops.storage.directory import Directory
from archon_ops.storage.explain import user_name
from archon_ops.storage.files import open_regular
from archon_ops.storage.folders import FOLDER_MODE
from archon_ops.storage.names import dump_of, manifest_path
from archon_ops.storage.space import free_bytes

# The document asks for room of ten times a backup's size.
COMFORT = 10
_BY_HAND = "RESTORE.txt"


@dataclass(frozen=True)
class FolderFacts:
    """What is known of the directory.

    Attributes:
        path: the directory.
        exists: whether it is there.
        parent_exists: whether its parent is, or is made along with it.
        trouble: why nothing can be written in it, or it cannot be looked at; else empty.
        hint: what to do then.
        open_to_others: files and folders of ours that others may read, with their mode.
        free: bytes that are free; None where that is not known.
        expected: bytes that the next backup will take, about; None where that is not known.
    """

    path: Path
    exists: bool
    parent_exists: bool
    trouble: str = ""
    hint: str = ""
    open_to_others: tuple[tuple[Path, int], ...] = ()
    free: int | None = None
    expected: int | None = None


def gather(directory: Directory, expected: int | None) -> FolderFacts:
    """Look at the directory, and try to write in it as a backup does.

    Args:
        directory: which.
        expected: bytes of the next backup.
    """
    path = directory.path
    try:
        exists = path.exists()
        parent = directory.parent_is_ours or path.parent.is_dir()
    except OSError as error:
        trouble = f"cannot look at {path}: {error.strerror} (as user {user_name()})"
        return FolderFacts(path, exists=True, parent_exists=True, trouble=trouble)
    if not exists:
        return FolderFacts(path, exists=False, parent_exists=parent, expected=expected)
    facts = FolderFacts(path, exists=True, parent_exists=True, expected=expected)
    try:
        with Temporary(path, "trial") as trial:
            trial.write(b"x")
            trial.sync()
        return replace(facts, open_to_others=tuple(too_open(directory)), free=free_bytes(path))
    except OpsError as error:
        return replace(facts, trouble=error.message, hint=error.hint)
    except OSError as error:
        return replace(facts, trouble=f"cannot look at {error.filename}: {error.strerror}")


def judge(facts: FolderFacts, inv: str) -> Iterator[Finding]:
    """All findings on the directory."""
    yield accessible(facts, inv)
    if facts.exists and not facts.trouble:
        yield closed(facts, inv)
        yield room(facts, inv)


def accessible(facts: FolderFacts, inv: str) -> Finding:
    """Whether backups can be written to it."""
    path = facts.path
    check = Check(
        "directory",
        "cannot create backup directory: Permission denied",
        f"{shell('ls', '-la', path)}; a trial file in it",
    )
    if facts.trouble:
        return check.problem(
            facts.trouble,
            f"it belongs to somebody else than {user_name()}, is mounted read-only, or is full",
            f"{shell('sudo', 'chown', '-R', user_name(), path)} && {shell('chmod', '700', path)}"
            + (f" ({facts.hint})" if facts.hint else ""),
            blocks=True,
        )
    if facts.exists:
        return check.ok(f"{path} is writable")
    if facts.parent_exists:
        return check.note(
            f"{path} does not exist yet", "no backup was taken", f"inv doctor --fix{inv}"
        )
    return check.problem(
        f"{path} does not exist, nor does {path.parent}",
        "a disk is not mounted, or the setting backup_dir is wrong",
        f"mount it, correct backup_dir in archon.toml, or: {shell('mkdir', '-p', path.parent)}",
        blocks=True,
    )


def closed(facts: FolderFacts, inv: str) -> Finding:
    """Whether nobody else can read what is ours."""
    check = Check("directory.modes", "other users read the backups", shell("ls", "-la", facts.path))
    if not facts.open_to_others:
        return check.ok("our folders are 0700, our files 0600")
    first, mode = facts.open_to_others[0]
    more = f" and {len(facts.open_to_others) - 1} more" if len(facts.open_to_others) > 1 else ""
    return check.warning(
        f"others may read {first} (mode {mode:04o}){more}",
        "somebody copied or changed them",
        f"inv doctor --fix{inv}",
    )


def room(facts: FolderFacts, inv: str) -> Finding:
    """Whether the disk holds ten more backups."""
    check = Check("disk", "a backup ends with: no space left", shell("df", "-h", facts.path))
    free = facts.free or 0
    if facts.expected is None:
        return check.unknown(
            f"{human_size(free)} free", "without a backup or a server its size is not known"
        )
    found = f"{human_size(free)} free, the next backup takes about {human_size(facts.expected)}"
    mend = f"inv prune --retention 5{inv}, or inv prune --archive-to FOLDER --older-than 7d{inv}"
    if free < facts.expected:
        cause = "the disk is too full for even one more"
        return check.problem(found, cause, mend, blocks=True)
    if free < COMFORT * facts.expected:
        return check.warning(found, f"that is less than room for {COMFORT} backups", mend)
    return check.ok(found)


def too_open(directory: Directory) -> Iterator[tuple[Path, int]]:
    """What is ours and open to others, with its mode; symbolic links are nobody's business.

    A dump without a manifest is not ours, whoever needs to read it.
    """
    for folder in (directory.path, directory.safety, directory.ops, directory.ops / "runs"):
        if folder.is_symlink() or not folder.is_dir():
            continue
        yield from _if_open(folder)
        for path in folder.iterdir():
            if path.is_file() and not path.is_symlink() and _is_ours(directory, path):
                yield from _if_open(path)


def close(path: Path) -> None:
    """Take the rights of others away.

    Raises:
        OSError: it is not ours, or something else by now.
    """
    if path.is_dir():
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        mode = FOLDER_MODE
    else:
        fd, mode = open_regular(path), FILE_MODE
    try:
        os.fchmod(fd, mode)
    finally:
        os.close(fd)


def _is_ours(directory: Directory, path: Path) -> bool:
    if path.parent in (directory.ops, directory.ops / "runs"):
        return True
    if path.name == _BY_HAND:
        return True
    dump = path.name if path.suffix == ".dump" else dump_of(path.name)
    return dump is not None and manifest_path(path.with_name(dump)).is_file()


def _if_open(path: Path) -> Iterator[tuple[Path, int]]:
    state = path.lstat()
    if stat.S_IMODE(state.st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
        yield path, stat.S_IMODE(state.st_mode)
