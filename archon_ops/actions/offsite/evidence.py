"""Evidence of runbooks travels with the copies, and with it the head of its chain.

Whoever takes the newest runs away here cannot take them away there; and the head that lies there
tells that they are missing.
"""

from __future__ import annotations

import contextlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

from archon_ops.actions.offsite.places import Destination, outbox
from archon_ops.site import Site
from archon_ops.storage.atomic import Temporary
from archon_ops.storage.cipher import Cipher
from archon_ops.storage.explain import explained
from archon_ops.storage.files import read_limited
from archon_ops.storage.folders import ensure_folder
from archon_ops.storage.remote.source import BytesSource, FileSource, Source
from archon_ops.storage.vault import Vault

REPORTS = "reports"
SEALED = "SHA256SUMS"
HEAD = "evidence-head.json"
FOLDER = "evidence"
FILE_LIMIT = 256 << 20
_HEAD_LIMIT = 1 << 20


def push_evidence(site: Site, vault: Vault, destination: Destination) -> tuple[str, ...]:
    """Bring the sealed runs there that are not there yet, and the chain's head.

    Returns:
        Names of what was sent.

    Raises:
        OpsError: it could not be read, or the place refuses.
    """
    there = vault.names(f"{FOLDER}/")
    cipher = destination.cipher
    suffix = cipher.suffix if cipher else ""
    sent = []
    for folder in _runs(site):
        name = f"{FOLDER}/{folder.name}.tar{suffix}"
        if name not in there:
            with _packed(site, folder, cipher) as source:
                vault.put(name, source)
            sent.append(name)
    if (head := _head(site)) is not None and head[0] not in there:
        vault.put(head[0], BytesSource(head[1]))
        sent.append(head[0])
    return tuple(sent)


def _runs(site: Site) -> list[Path]:
    """Folders of runs that are sealed, oldest first: their names begin with the time."""
    reports = site.settings.path(Path(REPORTS))
    with explained("read the folder", reports):
        found = list(reports.iterdir()) if reports.is_dir() else []
    return sorted(folder for folder in found if (folder / SEALED).is_file())


def _head(site: Site) -> tuple[str, bytes] | None:
    """The chain's head, under a name that tells which one it is; None where there is no chain."""
    path = site.settings.state / HEAD
    with explained("read", path):
        try:
            data = read_limited(path, _HEAD_LIMIT)
        except FileNotFoundError:
            return None
    with contextlib.suppress(ValueError, KeyError, TypeError):
        head = json.loads(data)
        return f"{FOLDER}/head-{int(head['number']):06}-{str(head['sha256'])[:12]}.json", data
    return None


@contextlib.contextmanager
def _packed(site: Site, folder: Path, cipher: Cipher | None) -> Iterator[Source]:
    """The files of a run as one tar, always the same bytes; encrypted where copies are."""
    box = outbox(site)
    ensure_folder(box.folder)
    with Temporary(box.folder, site.run_id) as plain, Temporary(box.folder, site.run_id) as sealed:
        plain.write(_tar(folder))
        if cipher is not None:
            cipher.encrypt(plain.path, sealed.write)
        with FileSource((sealed if cipher else plain).path) as source:
            yield source


def _tar(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in sorted(folder.iterdir()):
            with explained("read", path):
                data = read_limited(path, FILE_LIMIT)
            info = tarfile.TarInfo(f"{folder.name}/{path.name}")
            info.size, info.mode = len(data), 0o600
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
