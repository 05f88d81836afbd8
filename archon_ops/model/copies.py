"""A copy offsite as facts: what lies there, how it can be read, and whether it is whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from archon_ops.errors import PreconditionError
from archon_ops.model.backup import Backup, Manifest, ServerFacts

LATEST = "latest"
NOT_SIGNED = "not signed"


@dataclass(frozen=True)
class StoredFile:
    """One file of a copy, as it lies there.

    Attributes:
        role: "dump" or "manifest".
        name: of the object, relative to the source's part of the place.
        size_bytes, sha256: of the bytes that lie there: of the ciphertext where it is encrypted.
        version: names exactly these bytes, where the place keeps versions; else empty.
    """

    role: str
    name: str
    size_bytes: int
    sha256: str
    version: str = ""


@dataclass(frozen=True)
class Copy:
    """What is written down beside a copy; it can be read without a key and tells no content.

    Attributes:
        name: file name of the dump.
        source: name of the source in the settings.
        display_name: the source's name for people.
        label: why the backup was taken, if somebody said so.
        snapshot_at: UTC time as of which it holds the database.
        pushed_at: UTC time at which the copy was complete.
        size_bytes: length of the dump itself.
        database_bytes: size of the whole database then.
        cipher: "none", "age" or "gpg".
        readers: who can decrypt: public keys, or "passphrase".
        manifest_sha256: of the backup's own manifest: two copies of one backup share it.
        files: what lies there.
        tool: version of archon_ops.
    """

    name: str
    source: str
    display_name: str
    label: str | None
    snapshot_at: datetime
    pushed_at: datetime
    size_bytes: int
    database_bytes: int
    cipher: str
    readers: tuple[str, ...]
    manifest_sha256: str
    files: tuple[StoredFile, ...]
    tool: str
    format: int = 1

    def file(self, role: str) -> StoredFile:
        """The file with this role; every copy has one for each."""
        return next(file for file in self.files if file.role == role)

    @property
    def stored_bytes(self) -> int:
        """What it takes there."""
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True)
class Held:
    """A copy with what the place says of it.

    Attributes:
        name: file name of the dump.
        copy: what is written down of it; None where that cannot be believed.
        problems: why it does not count, one line each.
        signed: by whom what is written down is signed, for people.
    """

    name: str
    copy: Copy | None
    problems: tuple[str, ...] = ()
    signed: str = NOT_SIGNED

    @property
    def sound(self) -> bool:
        """Whether nothing is known against it."""
        return self.copy is not None and not self.problems


def shortcomings(copy: Copy, sizes: Mapping[str, int]) -> tuple[str, ...]:
    """What a listing says against a copy.

    Args:
        copy: what is written down.
        sizes: name of every object there -> its length.
    """
    found = []
    for file in copy.files:
        size = sizes.get(file.name)
        if size is None:
            found.append(f"{file.name} is missing")
        elif size != file.size_bytes:
            found.append(f"{file.name} has {size} bytes, {file.size_bytes} were written")
    return tuple(found)


def newest_first(held: Iterable[Held]) -> tuple[Held, ...]:
    """The newest snapshot first; those that cannot tell theirs come last, by name."""
    return tuple(
        sorted(
            held,
            key=lambda h: (
                h.copy is not None,
                h.copy.snapshot_at.timestamp() if h.copy else 0,
                h.name,
            ),
            reverse=True,
        )
    )


def find(held: Iterable[Held], reference: str, where: str) -> Held:
    """The copy that is meant: "latest", sound or not, or a name.

    Raises:
        PreconditionError: there is none.
    """
    ordered = newest_first(held)
    if reference == LATEST:
        found = next(iter(ordered), None)
    else:
        found = next((h for h in ordered if h.name == reference), None)
    if found is None:
        what = "no copies" if reference == LATEST else f"no copy {reference!r}"
        hint = "inv offsite.list, with the same --from, shows what there is"
        raise PreconditionError(f"{what} in {where}", hint)
    return found


def as_backup(held: Held) -> Backup:
    """The copy as retention sees a backup: only what is whole counts, and nothing else goes."""
    copy = held.copy
    if copy is None or held.problems:
        problem = "; ".join(held.problems) or "it cannot be believed"
        at = copy.snapshot_at if copy else datetime.fromtimestamp(0).astimezone()
        return Backup(held.name, 0, at, manifest_problem=problem)
    return Backup(held.name, copy.size_bytes, copy.pushed_at, manifest=_outside(copy))


def _outside(copy: Copy) -> Manifest:
    """What is known of a backup from outside: when it was taken, and how large it is."""
    known = without_content(copy.name, copy.source, copy.snapshot_at)
    return replace(
        known,
        display_name=copy.display_name,
        label=copy.label,
        finished_at=copy.pushed_at,
        size_bytes=copy.size_bytes,
        database_bytes=copy.database_bytes,
        tool=copy.tool,
    )


def without_content(name: str, source: str, at: datetime) -> Manifest:
    """A manifest of which nothing but name, source and time is known."""
    nowhere = ServerFacts("", "", "", 0, "", "", 0, "", "", "")
    return Manifest(
        name=name,
        source=source,
        display_name=source,
        label=None,
        snapshot_at=at,
        finished_at=at,
        size_bytes=0,
        sha256="",
        codec="",
        pg_dump="",
        toc_entries=0,
        server=nowhere,
        snapshot="",
        tables=(),
        sequences=(),
        inventory={},
        attributes={},
        extensions=(),
        roles=(),
        sizes=(),
        database_bytes=0,
        migration_head=None,
        key=None,
        not_covered=(),
        tool="",
    )
