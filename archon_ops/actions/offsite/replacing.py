"""Copies that are damaged over there: a push does not pass over them, and replaces them if told to.

Nothing is overwritten: what is damaged is deleted first, if the place lets us, and if asked to.
"""

from __future__ import annotations

from collections.abc import Sequence

from archon_ops.actions.offsite.places import Destination
from archon_ops.errors import PreconditionError, UntrustworthyError
from archon_ops.model.backup import Backup
from archon_ops.model.copies import Held
from archon_ops.model.units import zulu
from archon_ops.site import Site
from archon_ops.storage.files import sha256_of
from archon_ops.storage.vault import Vault


def require_not_failed(site: Site, name: str, destination: Destination) -> None:
    """Refuse to call a copy there that was read, found damaged, and not replaced since.

    Raises:
        UntrustworthyError: it was.
    """
    for record in site.journal.records():  # the newest first
        details = record.details
        if record.action != "offsite" or details.get("to") != destination.shown:
            continue
        if name in _names(details.get("replaced")):
            return
        if details.get("verb") == "verify" and name in _names(details.get("backups")):
            if name not in _names(details.get("failed")):
                return
            raise UntrustworthyError(
                f"the copy {name} in {destination.shown} is damaged: inv offsite.verify found that "
                f"at {zulu(record.started_at)}; it was not replaced",
                f"inv offsite.push --backup {name} --to {destination.name or 'PLACE'} "
                "--replace-damaged, or push to another place",
            )


def discard_damaged(site: Site, vault: Vault, backups: Sequence[Backup]) -> tuple[str, ...]:
    """Delete those copies of these backups there that are not what was pushed.

    Returns:
        Their names.

    Raises:
        UntrustworthyError: the backup here is damaged too: then the copy stays as it is.
        PreconditionError: the place keeps it locked.
    """
    held = {one.name: one for one in vault.held()}
    gone = []
    for backup in backups:
        if (one := held.get(backup.name)) is None:
            continue
        site.report.step("offsite.read", f"Reading the copy {backup.name}")
        if problems := _problems(vault, one):
            _require_sound(site, backup)
            _require_unlocked(vault, one)
            site.report.warn(f"{backup.name} is damaged there and goes: {'; '.join(problems)}")
            vault.discard(backup.name)
            gone.append(backup.name)
    return tuple(gone)


def _problems(vault: Vault, held: Held) -> tuple[str, ...]:
    """Why a copy is not what was pushed, after all of it was read."""
    if held.copy is None or held.problems:
        return held.problems or ("it cannot be believed",)
    try:
        for file in held.copy.files:
            vault.fetch(file, lambda _block: None)
    except UntrustworthyError as error:
        return (error.message,)
    return vault.overwritten(held.copy)


def _require_sound(site: Site, backup: Backup) -> None:
    manifest = backup.manifest
    path = site.directory.path_of(backup)
    if manifest is None or sha256_of(path) != (manifest.sha256, manifest.size_bytes):
        raise UntrustworthyError(
            f"{backup.name} is damaged here as well as there; nothing was deleted there",
            "inv backups; inv offsite.verify all",
        )


def _require_unlocked(vault: Vault, held: Held) -> None:
    """What is locked cannot be replaced: nothing of it is touched, and that is said."""
    until = vault.locked_until(held.copy) if held.copy else None
    if until is not None:
        raise PreconditionError(
            f"the copy {held.name} in {vault.shown} is damaged, and locked there until "
            f"{zulu(until)}: nothing was deleted",
            "push to another place, or to another prefix: --to URL",
        )


def _names(value: object) -> list[object]:
    return value if isinstance(value, list) else []
