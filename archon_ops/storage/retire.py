"""Taking a backup out of its directory: deleted, or moved to an archive.

The dump goes first and its manifest last, each made durable before the next. Killed in between,
that leaves a manifest without a dump, which the sweep removes; the other order would leave a dump
without a manifest, which looks foreign and would be kept forever.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from archon_ops.errors import OpsError, PreconditionError, UntrustworthyError, UsageError
from archon_ops.model.backup import Backup
from archon_ops.storage.atomic import Temporary, write_atomic
from archon_ops.storage.directory import Directory
from archon_ops.storage.explain import explained
from archon_ops.storage.files import blocks, read_limited, sha256_of
from archon_ops.storage.folders import fsync_folder
from archon_ops.storage.manifest import SIZE_LIMIT
from archon_ops.storage.names import manifest_path, verify_path
from archon_ops.storage.sweep import sweep_temporary


def remove(directory: Directory, backup: Backup) -> None:
    """Delete a backup of ours; call it with the directory's lock held.

    Raises:
        OpsError: it has no manifest that says it is ours.
        PreconditionError: the directory refuses.
    """
    if backup.manifest is None:
        raise OpsError(f"{backup.name} is not provably ours: it is never deleted")
    _unlink(directory.path_of(backup))


def archive(directory: Directory, backup: Backup, to: Path, run_id: str) -> Path:
    """Move a backup to another folder, on any file system: copy, prove the copy, then delete.

    Killed in between, it can be run again: a copy that is already there and equal is accepted.

    Args:
        directory: where it lies.
        backup: which one; foreign dumps move too.
        to: the archive; made if its parent exists.
        run_id: who does it.

    Returns:
        Where it lies now.

    Raises:
        UntrustworthyError: it is not what its manifest says; nothing was moved.
        PreconditionError: the archive refuses, or holds something else of that name.
        UsageError: the archive is the directory itself.
    """
    source = directory.path_of(backup)
    _prepare(directory, to)
    target = to / backup.name
    digest = _copy(source, target, backup, run_id)
    if sha256_of(target, cold=True)[0] != digest:
        raise OpsError(f"{target} does not read back as it was written; {source} was kept")
    _unlink(source)
    return target


def _prepare(directory: Directory, to: Path) -> None:
    Directory(to).prepare()
    for folder in (directory.path, directory.safety):
        if folder.is_dir() and to.samefile(folder):
            raise UsageError(f"{to} is where the backups lie", "choose another --archive-to")
    sweep_temporary(to)


def _copy_sidecars(source: Path, target: Path, run_id: str) -> None:
    for beside in (verify_path, manifest_path):
        _copy_sidecar(beside(source), beside(target), run_id)


def _copy_sidecar(source: Path, target: Path, run_id: str) -> None:
    with explained("read", source):
        try:
            data = read_limited(source, SIZE_LIMIT)
        except FileNotFoundError:
            return
    if os.path.lexists(target):
        with explained("read", target):
            if read_limited(target, SIZE_LIMIT) == data:
                return
        raise _taken(target)
    write_atomic(target, data, run_id)


def _copy(source: Path, target: Path, backup: Backup, run_id: str) -> str:
    """Copy a backup, its dump's name last; returns the digest of the dump."""
    if os.path.lexists(target):
        digest = sha256_of(source)[0]
        _check(source, backup, digest)
        if sha256_of(target)[0] != digest:
            raise _taken(target)
        _copy_sidecars(source, target, run_id)
        return digest
    with Temporary(target.parent, run_id) as copy:
        digest = _copy_bytes(source, copy)
        _check(source, backup, digest)
        _copy_sidecars(source, target, run_id)
        copy.set_modified(backup.modified_at.timestamp())
        copy.publish(target)
    return digest


def _copy_bytes(source: Path, copy: Temporary) -> str:
    hashed = hashlib.sha256()
    with explained("read", source):
        for block in blocks(source):
            hashed.update(block)
            copy.write(block)
    return hashed.hexdigest()


def _check(source: Path, backup: Backup, digest: str) -> None:
    if backup.manifest is not None and backup.manifest.sha256 != digest:
        raise UntrustworthyError(
            f"{source} is not what its manifest says (checksum); it was not moved",
            f"inv verify {backup.name}",
        )


def _unlink(dump: Path) -> None:
    for path in (dump, verify_path(dump), manifest_path(dump)):
        with explained("remove", path):
            path.unlink(missing_ok=True)
            fsync_folder(path.parent)


def _taken(target: Path) -> PreconditionError:
    return PreconditionError(
        f"{target} exists already, with other content, and is not overwritten",
        "choose another --archive-to, or move that file away",
    )
