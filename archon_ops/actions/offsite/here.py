"""What a restore is given may lie elsewhere, or be encrypted: bring it here and open it first."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from archon_ops.actions.offsite.places import destinations, prepare
from archon_ops.actions.offsite.pull import pull
from archon_ops.errors import OpsError
from archon_ops.site import Site
from archon_ops.storage.atomic import Temporary
from archon_ops.storage.cipher import Keys, decrypt, encrypted_with, plain_name
from archon_ops.storage.folders import ensure_folder
from archon_ops.storage.names import manifest_path
from archon_ops.storage.plaintext import plaintext_folder

PREFIX = "offsite:"
_SUFFIXES = ("", ".age", ".gpg")


@contextlib.contextmanager
def here(site: Site, reference: str, urls: Sequence[str], keys: Keys) -> Iterator[str]:
    """The reference of a dump that lies here as plaintext, for the length of the block.

    Args:
        site: whose backup.
        reference: offsite:latest or offsite:NAME; a dump encrypted with age or gpg; or anything
            else, which is handed through.
        urls: where to look offsite; none: all places of the settings.
        keys: what there is to decrypt with.

    Raises:
        UntrustworthyError: it is damaged; no plaintext is left.
    """
    if reference.startswith(PREFIX):
        name = reference.removeprefix(PREFIX)
        yield pull(site, name, destinations(site, urls), _keys(site, keys)).copy.name
        return
    path = _encrypted(site, reference)
    if path is None:
        yield reference
        return
    prepare(site)
    site.directory.prepare()
    ensure_folder(site.directory.ops)
    with plaintext_folder(site.directory.ops, site.run_id) as folder:
        site.report.info(f"decrypting {path.name}")
        dump = folder / plain_name(path.name)
        open_file(path, dump, _keys(site, keys), site.run_id)
        _open_manifest(path, dump, _keys(site, keys), site.run_id)
        yield str(dump)


def open_file(source: Path, target: Path, keys: Keys, run_id: str) -> str:
    """Decrypt a file into another, which bears its name only when all of it was authentic.

    Returns:
        SHA-256 of the plaintext.

    Raises:
        UntrustworthyError: it is damaged; nothing bears the name.
        PreconditionError: the key is missing or wrong, or the name is taken.
    """
    hashed = hashlib.sha256()
    with Temporary(target.parent, run_id) as file:

        def write(block: bytes) -> None:
            file.write(block)
            hashed.update(block)

        decrypt(source, keys, write)
        file.publish(target)
    return hashed.hexdigest()


def _open_manifest(path: Path, dump: Path, keys: Keys, run_id: str) -> None:
    """The manifest that lies beside an encrypted dump, so that its content can be proven."""
    beside = manifest_path(path.with_name(dump.name))
    for suffix in _SUFFIXES:
        source = beside.with_name(beside.name + suffix)
        if os.path.lexists(source):
            if suffix:
                open_file(source, manifest_path(dump), keys, run_id)
            else:
                manifest_path(dump).write_bytes(source.read_bytes())
            return


def _encrypted(site: Site, reference: str) -> Path | None:
    """The file that is meant, if it is there and encrypted; what else is wrong is told later."""
    folder = Path() if os.sep in reference else site.directory.path
    path = folder / reference
    if not reference.endswith((".age", ".gpg")):
        return None
    with contextlib.suppress(OpsError, ValueError):
        return path.absolute() if encrypted_with(path) else None
    return None


def _keys(site: Site, keys: Keys) -> Keys:
    """What was given, else the only identity that the settings name."""
    identities = {p.identity for p in site.settings.offsite.values() if p.identity}
    if keys.identity or len(identities) != 1:
        return keys
    return Keys(site.settings.path(identities.pop().expanduser()), keys.passphrase, keys.ask)
