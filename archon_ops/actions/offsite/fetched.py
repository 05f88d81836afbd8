"""A copy brought here only to be tried: the backups that lie here are neither asked nor touched."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from archon_ops.actions.offsite.opening import opened_copy
from archon_ops.actions.offsite.places import LOCK, Destination, prepare
from archon_ops.errors import OpsError, UntrustworthyError
from archon_ops.model.copies import Copy, newest_first
from archon_ops.site import Site
from archon_ops.storage.atomic import write_atomic
from archon_ops.storage.cipher import Keys
from archon_ops.storage.directory import load
from archon_ops.storage.folders import ensure_folder
from archon_ops.storage.lock import Lock
from archon_ops.storage.names import manifest_path
from archon_ops.storage.plaintext import plaintext_folder
from archon_ops.storage.reference import Located
from archon_ops.storage.vault import Vault, refuse_other_sources


@dataclass(frozen=True)
class Fetched:
    """A copy that lies here as plaintext, for as long as it is tried.

    Attributes:
        located: its dump, with the manifest beside it.
        copy: what was written down of it there.
        passed_over: why newer copies were not taken, one line each.
    """

    located: Located
    copy: Copy
    passed_over: tuple[str, ...]


@contextlib.contextmanager
def fetched(site: Site, places: Sequence[Destination], keys: Keys) -> Iterator[Fetched]:
    """The newest copy that is what was pushed, for the length of the block.

    Args:
        site: whose copy.
        places: where to look, in this order; one that cannot be reached is passed over.
        keys: what there is to decrypt with.

    Raises:
        OpsError: no place gives one; says what the first one said.
    """
    prepare(site)
    site.directory.prepare()
    ensure_folder(site.directory.ops)
    with plaintext_folder(site.directory.ops, site.run_id) as folder:
        with Lock(site.directory, "offsite", site.settings.deadlines.lock, name=LOCK):
            found = _fetch(site, places, keys, folder)
        yield found


def _fetch(site: Site, places: Sequence[Destination], keys: Keys, folder: Path) -> Fetched:
    errors: list[OpsError] = []
    for destination in places:
        try:
            return _newest(site, destination, destination.keys(site, keys), folder, errors)
        except OpsError as error:
            errors.append(error)
    raise errors[-1] if len(places) == 1 else errors[0]


def _newest(
    site: Site, destination: Destination, keys: Keys, folder: Path, errors: list[OpsError]
) -> Fetched:
    """The newest copy at a place that opens; what is wrong with newer ones is noted."""
    vault = destination.vault(site)
    held = newest_first(vault.held())
    if not held:
        raise refuse_other_sources(vault)
    for one in held:
        copy = one.copy
        if copy is None or one.problems:
            errors.append(UntrustworthyError(_passed(one.name, vault, "; ".join(one.problems))))
            continue
        try:
            path = _opened(site, vault, copy, keys, folder)
        except UntrustworthyError as error:
            errors.append(UntrustworthyError(_passed(one.name, vault, error.message)))
            continue
        located = Located(path, load(path), inside=False, origin=destination.shown)
        return Fetched(located, copy, tuple(error.message for error in errors))
    raise UntrustworthyError(
        f"no copy in {vault.shown} can be trusted: {errors[-1].message}", "inv offsite.verify all"
    )


def _opened(site: Site, vault: Vault, copy: Copy, keys: Keys, folder: Path) -> Path:
    site.report.step("offsite.fetch", f"Fetching {copy.name} from {vault.shown}")
    path = folder / copy.name
    with opened_copy(site, vault, copy, keys) as found:
        write_atomic(manifest_path(path), found.manifest_bytes, site.run_id)
        found.dump.publish(path)
    return path


def _passed(name: str, vault: Vault, why: str) -> str:
    return f"the copy {name} in {vault.shown} cannot be trusted and was passed over: {why}"
