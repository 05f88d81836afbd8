"""A copy brought here and opened: every byte held against what was pushed, nothing named yet."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from archon_ops.actions.offsite.unsealed import unsealed
from archon_ops.errors import PreconditionError, UntrustworthyError
from archon_ops.model.backup import Manifest
from archon_ops.model.copies import Copy
from archon_ops.model.units import human_size
from archon_ops.site import Site
from archon_ops.storage import manifest as manifests
from archon_ops.storage.atomic import Temporary
from archon_ops.storage.cipher import Keys
from archon_ops.storage.space import free_bytes
from archon_ops.storage.vault import Vault


@dataclass(frozen=True)
class Opened:
    """A copy, decrypted and proven to be the backup that was pushed.

    Attributes:
        dump: the plaintext under a temporary name, in the backup directory.
        manifest: the backup's own manifest.
        manifest_bytes: the same as its file holds it.
    """

    dump: Temporary
    manifest: Manifest
    manifest_bytes: bytes


@contextlib.contextmanager
def opened_copy(site: Site, vault: Vault, copy: Copy, keys: Keys) -> Iterator[Opened]:
    """Bring a copy here, decrypt it, and prove it, for the length of the block.

    Raises:
        UntrustworthyError: it is not what was pushed; no plaintext is left.
        PreconditionError: no room, or the key is missing.
    """
    _require_room(site, copy)
    data = bytearray()
    _plain(site, vault, copy, "manifest", keys, data.extend)
    manifest = _manifest(copy, bytes(data))
    with Temporary(site.directory.path, site.run_id) as dump:
        hashed, done = hashlib.sha256(), 0

        def write(block: bytes) -> None:
            nonlocal done
            dump.write(block)
            hashed.update(block)
            done += len(block)
            site.report.progress("pull", done, copy.size_bytes)

        _plain(site, vault, copy, "dump", keys, write)
        if (hashed.hexdigest(), done) != (manifest.sha256, manifest.size_bytes):
            raise UntrustworthyError(
                f"{copy.name} in {vault.shown} is not what its manifest says (checksum)",
                "take another copy: inv offsite.list",
            )
        dump.sync()
        yield Opened(dump, manifest, bytes(data))


def _plain(
    site: Site, vault: Vault, copy: Copy, role: str, keys: Keys, write: Callable[[bytes], None]
) -> None:
    """The plaintext of a file of a copy; what is encrypted comes here in full before it is read."""
    file = copy.file(role)
    if copy.cipher == "none":
        vault.fetch(file, write)
        return
    unsealed(site, lambda take: vault.fetch(file, take), file.name, keys, write)


def _manifest(copy: Copy, data: bytes) -> Manifest:
    if hashlib.sha256(data).hexdigest() != copy.manifest_sha256:
        raise UntrustworthyError(
            f"the manifest in the copy {copy.name} is not the one that was pushed",
            "take another copy: inv offsite.list",
        )
    return manifests.decode(data, Path(f"{copy.name.removesuffix('.dump')}.json"), copy.name)


def _require_room(site: Site, copy: Copy) -> None:
    """Room for the dump, and for its ciphertext beside it."""
    twice = copy.cipher != "none"
    needed = copy.size_bytes + (copy.file("dump").size_bytes if twice else 0)
    free = free_bytes(site.directory.path)
    if free < needed:
        raise PreconditionError(
            f"not enough room in {site.directory.path} for {copy.name}: {human_size(needed)} "
            f"needed{', because it is decrypted here' if twice else ''}, {human_size(free)} free",
            "free some space, or pull into another folder: --backup-dir DIR",
        )
