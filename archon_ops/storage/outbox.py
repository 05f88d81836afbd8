"""Ciphertexts on their way: kept until the copy counts, so that a cut-off push can go on.

A file encrypted twice has two ciphertexts; parts of the first that have arrived would be of no use.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from archon_ops.storage.atomic import Temporary
from archon_ops.storage.cipher import Cipher
from archon_ops.storage.explain import explained
from archon_ops.storage.files import sha256_of
from archon_ops.storage.folders import ensure_folder
from archon_ops.storage.remote.source import FileSource, Source, Spool
from archon_ops.storage.sweep import sweep_temporary

_KEPT_SECONDS = 7 * 24 * 3600
# What encryption adds, near enough: age 16 bytes to every 64 KB, gpg a little to every 8 KB.
_GROWTH = 1.01


@dataclass(frozen=True)
class Outbox:
    """The folder of ciphertexts on their way.

    Attributes:
        folder: made when it is needed; its parent must exist.
        run_id: who writes.
    """

    folder: Path
    run_id: str

    @contextlib.contextmanager
    def sealed(self, path: Path, cipher: Cipher, identity: str) -> Iterator[Source]:
        """The ciphertext of a file, ready to be read while it is still made.

        Args:
            path: the plaintext.
            cipher: for whom.
            identity: of the backup; the same file for the same readers is encrypted once.
        """
        ensure_folder(self.folder)
        prefix = f"{path.name}{cipher.suffix}-{cipher.tag(identity)}-"
        if (kept := self._kept(prefix)) is not None:
            with FileSource(kept) as source:
                yield source
            return
        with Temporary(self.folder, self.run_id) as file:
            with explained("read", path):
                about = round(path.stat().st_size * _GROWTH)
            spool = Spool(file, about)
            try:
                with spool.filling(lambda write: cipher.encrypt(path, write)):
                    yield spool
            finally:
                if spool.complete():
                    file.keep(self.folder / f"{prefix}{spool.digest()[0]}")

    def _kept(self, prefix: str) -> Path | None:
        """A ciphertext of an earlier run, if it is whole: its name ends in its own digest."""
        for path in self.folder.glob(f"{prefix}*"):
            if sha256_of(path)[0] == path.name.removeprefix(prefix):
                return path
            with explained("remove", path):
                path.unlink()
        return None

    def clear(self, names: tuple[str, ...] = ()) -> None:
        """Remove what has arrived, what dead runs left, and what nobody came back for.

        Args:
            names: dumps whose copies count now.
        """
        if not self.folder.is_dir():
            return
        sweep_temporary(self.folder)
        stems = tuple(name.removesuffix(".dump") + "." for name in names)
        for path in self.folder.glob("archon_postgres-*"):
            with explained("remove", path), contextlib.suppress(FileNotFoundError):
                old = time.time() - path.lstat().st_mtime > _KEPT_SECONDS
                if old or (stems and path.name.startswith(stems)):
                    path.unlink()
