"""The copies of one source at one place: a copy counts when, and only when, it is written down."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from archon_ops import __version__
from archon_ops.errors import PreconditionError, UntrustworthyError
from archon_ops.model.backup import Manifest
from archon_ops.model.copies import Copy, Held, StoredFile, shortcomings
from archon_ops.storage import copies
from archon_ops.storage.cipher import Cipher
from archon_ops.storage.keys import Keys
from archon_ops.storage.names import manifest_path
from archon_ops.storage.outbox import Outbox
from archon_ops.storage.remote.base import Remote, Write, taken
from archon_ops.storage.remote.source import BytesSource, FileSource, Source

Progress = Callable[[int, int], None]
_AT_ONCE = 8


@dataclass(frozen=True)
class Pushed:
    """A copy that counts, and whether anything had to be sent for it."""

    copy: Copy
    sent: bool


@dataclass(frozen=True)
class Vault:
    """The copies of a source.

    Attributes:
        remote: the place.
        source: name of the source; its copies lie in a part of the place of that name.
        keys: the installation's, which sign what is written down of a copy and know others'.
    """

    remote: Remote
    source: str
    keys: Keys

    @property
    def shown(self) -> str:
        """Where they lie, for people."""
        return f"{self.remote.shown.rstrip('/')}/{self.source}"

    def sources(self) -> tuple[str, ...]:
        """Names of the sources that have copies at this place."""
        found = (entry.name.split("/") for entry in self.remote.list())
        return tuple(sorted({parts[0] for parts in found if parts[1:2] == [copies.FOLDER]}))

    def names(self, prefix: str) -> frozenset[str]:
        """Names of everything of the source that begins so."""
        start = len(self._at(""))
        return frozenset(entry.name[start:] for entry in self.remote.list(self._at(prefix)))

    def put(self, name: str, source: Source) -> None:
        """Store something that travels with the copies.

        Raises:
            TakenError: the name is borne by other bytes.
        """
        self.remote.put(self._at(name), source, lambda: None)

    def sweep(self) -> int:
        """Remove what our uploads that were cut off long ago have left there; how many."""
        return self.remote.sweep()

    def held(self) -> tuple[Held, ...]:
        """All copies that are written down, with what the listing says against them."""
        start = len(self._at(""))
        sizes = {e.name[start:]: e.size_bytes for e in self.remote.list(self._at(""))}
        names = sorted(name for path in sizes if (name := copies.name_of(path)))
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="copies") as pool:
            return tuple(pool.map(lambda name: self._held(name, sizes), names))

    def recorded(self, name: str) -> Copy | None:
        """What is written down of a copy; None where nothing is.

        Raises:
            UntrustworthyError: it is there, and cannot be believed.
        """
        path = copies.path_of(name)
        if self.remote.current(self._at(path)) is None:
            return None
        return self._believed(name)[0]

    def push(
        self,
        dump: Path,
        manifest: Manifest,
        cipher: Cipher | None,
        outbox: Outbox,
        clock: Callable[[], datetime],
        progress: Progress,
    ) -> Pushed:
        """Bring a backup there: its dump, its manifest, and last what makes it count.

        Args:
            dump: the dump, with its manifest beside it.
            manifest: that manifest.
            cipher: for whom it is encrypted; None: not at all.
            outbox: where ciphertexts rest meanwhile.
            clock: the present, UTC.
            progress: told of bytes sent, and of all.

        Raises:
            UntrustworthyError: the dump is not what its manifest says, or the place holds
                something else under a name of this copy.
        """
        with FileSource(manifest_path(dump)) as beside:
            identity = beside.digest()[0]
        there = self._already(manifest.name, identity)
        if there is not None:
            return Pushed(there, sent=False)

        def intact(plain: FileSource) -> None:
            if plain.digest() != (manifest.sha256, manifest.size_bytes):
                raise UntrustworthyError(
                    f"{dump} is not what its manifest says (checksum); it was not pushed",
                    f"inv verify {dump.name}",
                )

        def unchanged(plain: FileSource) -> None:
            if plain.digest()[0] != identity:
                raise UntrustworthyError(f"the manifest of {dump.name} changed under our hands")

        send = _Sender(self, cipher, outbox, identity)
        files = (
            send("dump", dump, intact, progress),
            send("manifest", manifest_path(dump), unchanged, lambda _done, _total: None),
        )
        copy = Copy(
            name=manifest.name,
            source=self.source,
            display_name=manifest.display_name,
            label=manifest.label,
            snapshot_at=manifest.snapshot_at,
            pushed_at=clock(),
            size_bytes=manifest.size_bytes,
            database_bytes=manifest.database_bytes,
            cipher=cipher.name if cipher else "none",
            readers=cipher.readers if cipher else (),
            manifest_sha256=identity,
            files=files,
            tool=__version__,
        )
        source = BytesSource(copies.encode(copy, self.keys.sign))
        self.remote.put(self._at(copies.path_of(copy.name)), source, lambda: None)
        return Pushed(copy, sent=True)

    def fetch(self, file: StoredFile, write: Write) -> None:
        """Hand over the bytes of a file; good for anything only when this returns.

        Raises:
            UntrustworthyError: they are not those that were pushed.
        """
        hashed, size = hashlib.sha256(), 0

        def take(block: bytes) -> None:
            nonlocal size
            hashed.update(block)
            size += len(block)
            if size > file.size_bytes:
                raise self._damaged(file, "is longer than what was pushed")
            write(block)

        self.remote.get(self._at(file.name), take, file.version)
        if (hashed.hexdigest(), size) != (file.sha256, file.size_bytes):
            raise self._damaged(file, "is not what was pushed (checksum)")

    def overwritten(self, copy: Copy) -> tuple[str, ...]:
        """Which files bear another version now than the one pushed, where versions are kept."""
        found = []
        for file in copy.files:
            now = self.remote.current(self._at(file.name)) if file.version else None
            if file.version and (now is None or now.version != file.version):
                how = "was deleted" if now is None else "was overwritten"
                found.append(f"{file.name} {how} later; its version {file.version} is still kept")
        return tuple(found)

    def locked_until(self, copy: Copy) -> datetime | None:
        """Until when the place refuses to delete a part of the copy."""
        locks = (self.remote.locked_until(self._at(f.name), f.version) for f in copy.files)
        return max((lock for lock in locks if lock), default=None)

    def remove(self, copy: Copy) -> None:
        """Delete a copy; first what makes it count."""
        path = self._at(copies.path_of(copy.name))
        now = self.remote.current(path)
        self.remote.delete(path, now.version if now else "")
        for file in copy.files:
            self.remote.delete(self._at(file.name), file.version)

    def get(self, name: str, write: Write) -> None:
        """Hand over the bytes of something that travels with the copies."""
        self.remote.get(self._at(name), write)

    def discard(self, name: str) -> None:
        """Delete everything that bears the name of a copy, of whatever content and version.

        Raises:
            OpsError: the place refuses, as it does what is locked.
        """
        stem = name.removesuffix(".dump")
        for path in (copies.path_of(name), *sorted(self.names(f"{stem}."))):
            while (now := self.remote.current(self._at(path))) is not None:
                self.remote.delete(self._at(path), now.version)

    def _held(self, name: str, sizes: dict[str, int]) -> Held:
        try:
            copy, signed = self._believed(name)
        except UntrustworthyError as error:
            return Held(name, None, (error.message,))
        return Held(name, copy, shortcomings(copy, sizes), signed)

    def _believed(self, name: str) -> tuple[Copy, str]:
        """What is written down of a copy, and who signed that."""
        data = self._small(copies.path_of(name))
        return copies.decode(data, name), copies.signed_by(data, name, self.keys.known())

    def _already(self, name: str, identity: str) -> Copy | None:
        """The copy, if this very backup was pushed before and is whole."""
        copy = self.recorded(name)
        if copy is None:
            return None
        if copy.manifest_sha256 != identity:
            raise taken(self.shown, copies.path_of(name))
        start = len(self._at(""))
        prefix = self._at(name.removesuffix(".dump"))
        sizes = {e.name[start:]: e.size_bytes for e in self.remote.list(prefix)}
        if problems := (*shortcomings(copy, sizes), *self.overwritten(copy)):
            raise UntrustworthyError(
                f"the copy {name} in {self.shown} is not whole any more: {'; '.join(problems)}",
                f"find out who did that; then inv offsite.push --backup {name} --replace-damaged, "
                "or to another place",
            )
        return copy

    def _small(self, path: str) -> bytes:
        data = bytearray()

        def take(block: bytes) -> None:
            data.extend(block)
            if len(data) > copies.SIZE_LIMIT:
                raise UntrustworthyError(f"{path} in {self.shown} is too long to be ours")

        self.remote.get(self._at(path), take)
        return bytes(data)

    def _damaged(self, file: StoredFile, how: str) -> UntrustworthyError:
        return UntrustworthyError(
            f"{file.name} in {self.shown} {how}", "take another copy: inv offsite.list"
        )

    def _at(self, name: str) -> str:
        return f"{self.source}/{name}"


@dataclass(frozen=True)
class _Sender:
    """Brings one file of a backup to a place, encrypted or as it is."""

    vault: Vault
    cipher: Cipher | None
    outbox: Outbox
    identity: str

    def __call__(
        self, role: str, path: Path, check: Callable[[FileSource], None], progress: Progress
    ) -> StoredFile:
        name = f"{path.name}{self.cipher.suffix if self.cipher else ''}"
        with FileSource(path) as plain, self._ciphertext(path, plain) as source:
            told = _Told(source, progress)
            there = self.vault.remote.put(f"{self.vault.source}/{name}", told, lambda: check(plain))
            sha256, size = source.digest()
        return StoredFile(role, name, size, sha256, there.version)

    @contextlib.contextmanager
    def _ciphertext(self, path: Path, plain: FileSource) -> Iterator[Source]:
        if self.cipher is None:
            yield plain
            return
        with self.outbox.sealed(path, self.cipher, self.identity) as sealed:
            yield sealed


class _Told:
    """A source that tells how far it was read."""

    def __init__(self, source: Source, progress: Progress) -> None:
        self.about = source.about
        self._source = source
        self._progress = progress

    def read(self, offset: int, length: int) -> bytes:
        data = self._source.read(offset, length)
        self._progress(offset + len(data), self.about)
        return data

    def digest(self) -> tuple[str, int]:
        return self._source.digest()


def refuse_other_sources(vault: Vault) -> PreconditionError:
    """What to say where this source has no copies, and perhaps others have."""
    others = vault.sources()
    if not others:
        hint = "inv offsite.push, with --to PLACE where it is not of the settings"
        return PreconditionError(f"no copies in {vault.remote.shown}", hint)
    return PreconditionError(
        f"no copies of source {vault.source} in {vault.remote.shown}, but of {', '.join(others)}",
        f"--source {others[0]}, or another URL",
    )
