"""Bring a copy back into the backup directory, where it is a backup like any other."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from archon_ops.actions.offsite.opening import Opened, opened_copy
from archon_ops.actions.offsite.places import LOCK, Destination, outbox, prepare
from archon_ops.actions.recording import recorded
from archon_ops.errors import OpsError, PreconditionError, UntrustworthyError
from archon_ops.model.copies import Copy, find
from archon_ops.site import Site
from archon_ops.storage.atomic import write_atomic
from archon_ops.storage.cipher import Keys
from archon_ops.storage.directory import load
from archon_ops.storage.files import read_limited, sha256_of
from archon_ops.storage.lock import Lock
from archon_ops.storage.manifest import SIZE_LIMIT
from archon_ops.storage.names import manifest_path
from archon_ops.storage.vault import Vault, refuse_other_sources


@dataclass(frozen=True)
class Pulled:
    """A copy that is a backup here now.

    Attributes:
        path: where its dump lies.
        copy: what was written down of it.
        destination: where it came from.
        fetched: False where the same backup was here already.
    """

    path: Path
    copy: Copy
    destination: Destination
    fetched: bool


def pull(site: Site, reference: str, destinations: Sequence[Destination], keys: Keys) -> Pulled:
    """Pull a copy from the first place that gives a good one.

    Args:
        site: whose copy; its backup directory is made where it is missing.
        reference: latest, or a name.
        destinations: where to look, in this order.
        keys: what there is to decrypt with.

    Raises:
        OpsError: of the first place, where none gives one; nothing bears the backup's name then.
    """
    prepare(site)
    errors: list[OpsError] = []
    with (
        recorded(site, "offsite", alone=False) as run,
        Lock(site.directory, "offsite", site.settings.deadlines.lock, name=LOCK),
    ):
        outbox(site).clear()
        for destination in destinations:
            try:
                pulled = _pull(run.site, reference, destination, keys)
            except OpsError as error:
                errors.append(error)
                if len(destinations) > 1:
                    site.report.warn(f"{destination.shown}: {error.message}")
            else:
                details = {"verb": "pull", "from": destination.shown, "backups": [pulled.copy.name]}
                run.details.update(details)
                return pulled
        raise errors[0]


def _pull(site: Site, reference: str, destination: Destination, keys: Keys) -> Pulled:
    site.report.phase("offsite.pull", f"Pulling from {destination.shown}")
    vault = destination.vault(site)
    held = vault.held()
    if not held:
        raise refuse_other_sources(vault)
    found = find(held, reference, vault.shown)
    copy = found.copy
    if copy is None or found.problems:
        raise UntrustworthyError(
            f"the copy {found.name} in {vault.shown} cannot be trusted: "
            f"{'; '.join(found.problems)}",
            "inv offsite.list, with the same --from, shows the others",
        )
    path = site.directory.path / copy.name
    if _is_here(site, path, copy):
        site.report.ok(f"{copy.name} is here already, byte for byte")
        return Pulled(path, copy, destination, fetched=False)
    site.report.step("offsite.fetch", f"Fetching {copy.name}")
    _fetch(site, vault, copy, destination.keys(site, keys), path)
    site.report.ok(f"{copy.name} is here, and every byte is what was backed up")
    return Pulled(path, copy, destination, fetched=True)


def _fetch(site: Site, vault: Vault, copy: Copy, keys: Keys, path: Path) -> None:
    with opened_copy(site, vault, copy, keys) as found:
        _publish(site, found, path)


def _publish(site: Site, found: Opened, path: Path) -> None:
    """Manifest first, the dump's name is the commit; alone, because a sweep takes half of it."""
    with Lock(site.directory, "offsite", site.settings.deadlines.lock):
        write_atomic(manifest_path(path), found.manifest_bytes, site.run_id)
        found.dump.publish(path)


def _is_here(site: Site, path: Path, copy: Copy) -> bool:
    """Whether the same backup lies here, whole.

    Raises:
        PreconditionError: something else bears its name.
    """
    if site.directory.is_free(copy.name):
        return False
    here = load(path) if path.is_file() else None
    manifest = here.manifest if here else None
    if manifest is not None and _same_manifest(path, copy):
        digest = sha256_of(path, lambda done, total: site.report.progress("check", done, total))
        if digest == (manifest.sha256, manifest.size_bytes):
            return True
    raise PreconditionError(
        f"{path} exists, and is not what was pushed as {copy.name}; it was not touched",
        f"move it away first: mv {path} /elsewhere, and its .json with it; "
        "or pull into another folder: --backup-dir DIR",
    )


def _same_manifest(path: Path, copy: Copy) -> bool:
    data = read_limited(manifest_path(path), SIZE_LIMIT)
    return hashlib.sha256(data).hexdigest() == copy.manifest_sha256
