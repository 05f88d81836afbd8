"""Google's and Azure's object stores: bounded memory, create-only, read back before it counts.

Their libraries create a name only-if-free with all of its bytes in memory, and send in parts only
over what is there. So what is large is sent in parts under a name of its own, read back, and copied
within the store to its name if that is free; the store does that in one step, without our line.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import AlreadyExistsError

from archon_ops.errors import OpsError, PreconditionError
from archon_ops.storage.remote.base import ABANDONED, Check, Entry, Stored, Write, taken
from archon_ops.storage.remote.objects_errors import explained_objects
from archon_ops.storage.remote.s3_parts import AT_ONCE, IN_MEMORY, PART_BYTES, part_bytes
from archon_ops.storage.remote.source import Source

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

# Beside the folders of sources: no listing of one shows what is still being sent.
_SENDING = ".sending/"
_EDGE = 64 << 10


@dataclass(frozen=True)
class Objects:
    """A bucket of Google's or a container of Azure's, or a prefix in it, as a place offsite.

    Attributes:
        store: obstore's, for the whole bucket.
        prefix: of all names; without a slash at either end.
        shown: the URL without its options.
        run_id: who writes; part of temporary names.
    """

    store: ObjectStore
    prefix: str
    shown: str
    run_id: str

    def list(self, prefix: str = "") -> list[Entry]:
        """Everything whose name begins with `prefix`."""
        # The store knows whole folders only: the rest of a name is compared here.
        folder, start = prefix.rpartition("/")[0], len(self._key(""))
        found = (Entry(item["path"][start:], item["size"]) for item in self._items(folder))
        return sorted(
            (e for e in found if e.name.startswith(prefix) and not e.name.startswith(_SENDING)),
            key=lambda entry: entry.name,
        )

    def current(self, name: str) -> Stored | None:
        """Whether there is an object of that name."""
        return None if self._head(name) is None else Stored()

    def put(self, name: str, source: Source, check: Check) -> Stored:
        """Store an object, in parts where it is large, and compare what the store has."""
        if self._head(name) is not None:
            check()
            return self._same(name, source)
        whole = source.read(0, PART_BYTES)
        if len(whole) == PART_BYTES:
            return self._put_large(name, source, check)
        check()
        with explained_objects("write to", self.shown):
            try:
                obstore.put(self.store, self._key(name), whole, mode="create")
            except AlreadyExistsError:  # by somebody else, or by ours whose answer was lost
                return self._same(name, source)
        self._require_same(name, name, source)
        return Stored()

    def get(self, name: str, write: Write, version: str = "") -> None:
        """Hand over the bytes of an object, a part at a time, each asked for again if it breaks."""
        with explained_objects(f"read {name} of", self.shown):
            size = obstore.head(self.store, self._key(name))["size"]
        for start in range(0, size, PART_BYTES):
            write(self._range(name, start, min(PART_BYTES, size - start)))

    def delete(self, name: str, version: str = "") -> None:
        """Remove an object; nothing if it is not there."""
        with explained_objects(f"delete {name} in", self.shown), suppress(FileNotFoundError):
            obstore.delete(self.store, self._key(name))

    def locked_until(self, name: str, version: str = "") -> datetime | None:
        """Not known: what is locked there refuses when it is to be deleted."""
        return None

    def sweep(self) -> int:
        """Remove what was sent long ago and never got its name."""
        before = datetime.now(UTC) - ABANDONED
        start = len(self._key(""))
        left = [i for i in self._items(_SENDING.rstrip("/")) if i["last_modified"] < before]
        gone = 0
        for item in left:
            with suppress(PreconditionError):  # kept there by a retention policy, and not for good
                self.delete(item["path"][start:])
                gone += 1
        return gone

    def _put_large(self, name: str, source: Source, check: Check) -> Stored:
        sending = f"{_SENDING}{self.run_id}-{posixpath.basename(name)}"
        try:
            self._send(sending, source)
            check()
            self._require_same(sending, name, source)
            with explained_objects("write to", self.shown):
                try:
                    obstore.copy(self.store, self._key(sending), self._key(name), overwrite=False)
                except AlreadyExistsError:
                    return self._same(name, source)
            self._require_edges(name, source)
        finally:
            # A bucket with a retention policy may refuse; a later sweep finds it again.
            with suppress(OpsError):
                self.delete(sending)
        return Stored()

    def _send(self, sending: str, source: Source) -> None:
        parts = _Parts(source, part_bytes(source.about))
        with explained_objects("write to", self.shown):
            try:
                obstore.put(
                    self.store,
                    self._key(sending),
                    iter(parts),
                    chunk_size=parts.length,
                    max_concurrency=max(1, min(AT_ONCE, IN_MEMORY // parts.length)),
                )
            except Exception:
                parts.raise_own()
                raise

    def _same(self, name: str, source: Source) -> Stored:
        """What is there already must be what would have been sent."""
        if self._digest(name) != source.digest():
            raise taken(self.shown, name)
        return Stored(sent=False)

    def _require_same(self, there: str, name: str, source: Source) -> None:
        if self._digest(there) != source.digest():
            raise self._other(name)

    def _require_edges(self, name: str, source: Source) -> None:
        """The copy within the store is complete: length, first and last bytes."""
        size = source.digest()[1]
        head = self._head(name)
        edge = min(_EDGE, size)
        if head is None or head["size"] != size:
            raise self._other(name)
        for start in (0, size - edge):
            if self._range(name, start, edge) != source.read(start, edge):
                raise self._other(name)

    def _digest(self, name: str) -> tuple[str, int]:
        hashed, done = hashlib.sha256(), 0

        def take(block: bytes) -> None:
            nonlocal done
            hashed.update(block)
            done += len(block)

        self.get(name, take)
        return hashed.hexdigest(), done

    def _range(self, name: str, start: int, length: int) -> bytes:
        with explained_objects(f"read {name} of", self.shown):
            found = obstore.get_range(self.store, self._key(name), start=start, length=length)
        return bytes(found)

    def _head(self, name: str) -> ObjectMeta | None:
        with explained_objects("read", self.shown), suppress(FileNotFoundError):
            return obstore.head(self.store, self._key(name))
        self._require_bucket()
        return None

    def _require_bucket(self) -> None:
        """A missing object and a missing bucket look the same in the answer to a question."""
        next(self._items(_SENDING.rstrip("/")), None)

    def _items(self, folder: str) -> Iterator[ObjectMeta]:
        with explained_objects("list", self.shown):
            for page in obstore.list(self.store, self._key(folder).rstrip("/") or None):
                yield from page

    def _other(self, name: str) -> OpsError:
        return OpsError(
            f"{self.shown}: {name} is not what was sent",
            "do not count on it; run inv offsite.verify all and look at that store",
        )

    def _key(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name


class _Parts:
    """The bytes of a source, part by part; what reading raises stays what it is."""

    def __init__(self, source: Source, length: int) -> None:
        self.length = length
        self._source = source
        self._error: BaseException | None = None

    def __iter__(self) -> Iterator[bytes]:
        offset = 0
        try:
            while part := self._source.read(offset, self.length):
                yield part
                offset += len(part)
        except Exception as error:
            self._error = error
            raise

    def raise_own(self) -> None:
        """Raise what reading raised: obstore makes an error of its own of it."""
        if self._error is not None:
            raise self._error
