"""A backup as facts: its manifest, what later checks found, and how far it can be trusted."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from archon_ops.model.dump_names import named_at
from archon_ops.model.fingerprint import SequencePosition, TableFingerprint
from archon_ops.model.retrieval import Retrieval


class Trust(StrEnum):
    """How much is known of a backup.

    unmanaged: it has no manifest, so nothing of its content can be proven.
    checked: its bytes are the bytes that were written, and they were read back.
    restored: a restore of it was proven equal to its manifest.
    failed: a check found it, or its manifest, damaged.
    """

    UNMANAGED = "unmanaged"
    CHECKED = "checked"
    RESTORED = "restored"
    FAILED = "failed"


@dataclass(frozen=True)
class Extension:
    """An installed extension."""

    name: str
    version: str
    schema: str


@dataclass(frozen=True)
class TableSize:
    """Bytes of one table at the time of the backup: main fork, indexes, TOAST, and their sum."""

    schema: str
    table: str
    heap_bytes: int
    index_bytes: int
    toast_bytes: int
    total_bytes: int


@dataclass(frozen=True)
class KeyFingerprint:
    """Which encryption key was in use, told without telling the key.

    Attributes:
        variable: the variable that held it (ENCRYPTION_KEY or SUPABASE_SERVICE_KEY).
        salt: hexadecimal, random for each backup.
        rounds: iterations of PBKDF2-HMAC-SHA256.
        digest: hexadecimal, 32 bytes.
    """

    variable: str
    salt: str
    rounds: int
    digest: str

    def matches(self, key: str) -> bool:
        """Whether this is the fingerprint of a key; takes about a tenth of a second."""
        salt = bytes.fromhex(self.salt)
        found = hashlib.pbkdf2_hmac("sha256", key.encode(), salt, self.rounds)
        return hmac.compare_digest(found.hex(), self.digest)


@dataclass(frozen=True)
class ServerFacts:
    """The server that a backup came from.

    Attributes:
        kind: how it was reached (embedded, direct, container).
        host: what the plan prints before the database.
        version: as in `SHOW server_version`.
        major: first number of the version.
        system_identifier: identity of the cluster, decimal (pg_control_system).
        database: name of the database.
        database_oid: its OID; a restored database has another.
        encoding, collate, ctype: how text is stored and sorted.
    """

    kind: str
    host: str
    version: str
    major: int
    system_identifier: str
    database: str
    database_oid: int
    encoding: str
    collate: str
    ctype: str


@dataclass(frozen=True)
class Manifest:
    """What a backup holds, written down in the same snapshot as the dump; never changed after.

    Attributes:
        name: file name of the dump.
        source: name of the source in the settings.
        display_name: the source's name for people.
        label: why it was taken, if somebody said so.
        snapshot_at: UTC time of the snapshot: the backup holds the database as of then.
        finished_at: UTC time at which it was complete.
        size_bytes: length of the dump.
        sha256: hexadecimal digest of the dump, taken as its bytes left pg_dump.
        codec: compression inside the dump ("gzip:1", "zstd:1", "none").
        pg_dump: version of the tool that wrote it.
        toc_entries: number of entries in the dump's table of contents.
        snapshot: text form of the snapshot (xmin:xmax:xip), to tell later rows from these.
        tables: content of every table.
        sequences: position of every sequence.
        inventory: "kind identity" of every schema object -> digest of its definition.
        attributes: attribute of the database itself -> value (owner, grants, settings).
        extensions: installed extensions.
        roles: roles that the dump names.
        sizes: bytes per table.
        database_bytes: bytes of the whole database.
        migration_head: newest row of archon_migrations ("version/name"), None without one.
        key: fingerprint of Archon's encryption key, None where it was not at hand.
        not_covered: schemas and tables left out, as given.
        tool: version of archon_ops.
        retrieval: what searches answered; None in a backup that is older than the record.
    """

    name: str
    source: str
    display_name: str
    label: str | None
    snapshot_at: datetime
    finished_at: datetime
    size_bytes: int
    sha256: str
    codec: str
    pg_dump: str
    toc_entries: int
    server: ServerFacts
    snapshot: str
    tables: tuple[TableFingerprint, ...]
    sequences: tuple[SequencePosition, ...]
    inventory: dict[str, str]
    attributes: dict[str, str]
    extensions: tuple[Extension, ...]
    roles: tuple[str, ...]
    sizes: tuple[TableSize, ...]
    database_bytes: int
    migration_head: str | None
    key: KeyFingerprint | None
    not_covered: tuple[str, ...]
    tool: str
    format: int = 1
    retrieval: Retrieval | None = None

    @property
    def rows(self) -> int:
        """Rows in all tables together."""
        return sum(table.rows for table in self.tables)

    @property
    def archon_rows(self) -> int:
        """Rows in Archon's own tables."""
        return sum(t.rows for t in self.tables if t.table.startswith("archon_"))


@dataclass(frozen=True)
class Verification:
    """One look at a backup after it was taken; kept beside it.

    Attributes:
        at: UTC time of the look.
        method: "backup" (read back when taken), "checksum" (read in full), "restore" (restored
            into a sandbox, or for good, and proven equal).
        passed: whether it held.
        problems: what did not hold, one line each.
        sha256: digest that the manifest had at that time; ties the result to those bytes.
        seconds: duration.
        not_proven: what could not be proven, one line each.
    """

    at: datetime
    method: str
    passed: bool
    problems: tuple[str, ...]
    sha256: str
    seconds: float
    not_proven: tuple[str, ...] = ()


@dataclass(frozen=True)
class Backup:
    """One dump in the directory, with all that is known of it.

    Attributes:
        name: file name of the dump.
        size_bytes: its length as it lies there.
        modified_at: UTC time of its last modification.
        manifest: None when it has none, or one that cannot be believed.
        manifest_problem: why a manifest that is there cannot be believed.
        verifications: looks at it, oldest first.
        safety: whether it was taken automatically before something dangerous.
        verify_problem: why the results of earlier looks cannot be read; the backup itself may
            be sound.
    """

    name: str
    size_bytes: int
    modified_at: datetime
    manifest: Manifest | None = None
    manifest_problem: str | None = None
    verifications: tuple[Verification, ...] = field(default=())
    safety: bool = False
    verify_problem: str | None = None

    @property
    def managed(self) -> bool:
        """Whether it has a manifest, believable or not: without one it is not ours."""
        return self.manifest is not None or self.manifest_problem is not None

    @property
    def taken_at(self) -> datetime:
        """UTC time of what it holds: its snapshot, or for a foreign dump its file's time.

        Where a manifest is there but not believable, the time in the name stands in: copying a
        folder changes the files' times, and an old damaged backup must not become the newest.
        """
        if self.manifest:
            return self.manifest.snapshot_at
        named = named_at(self.name) if self.manifest_problem else None
        return named or self.modified_at

    @property
    def label(self) -> str | None:
        """Why it was taken, if somebody said so."""
        return self.manifest.label if self.manifest else None

    @property
    def problems(self) -> tuple[str, ...]:
        """Why it cannot be trusted; empty when nothing is known against it."""
        if self.manifest_problem:
            return (self.manifest_problem,)
        if self.manifest is None:
            return ()
        if self.size_bytes != self.manifest.size_bytes:
            return (f"size: {self.size_bytes} bytes on disk, {self.manifest.size_bytes} written",)
        last = self._last_verification()
        return last.problems or ("verification failed",) if last and not last.passed else ()

    @property
    def trust(self) -> Trust:
        """What is known of it, without reading it again."""
        if not self.managed:
            return Trust.UNMANAGED
        if self.problems:
            return Trust.FAILED
        if self.restored_at is not None:
            return Trust.RESTORED
        # A manifest gets its name only after the dump was read back: managed means checked.
        return Trust.CHECKED

    @property
    def trustworthy(self) -> bool:
        """Whether a restore from it may be relied upon."""
        return self.trust in (Trust.CHECKED, Trust.RESTORED)

    @property
    def restored_at(self) -> datetime | None:
        """UTC time of the last restore of these bytes that was proven equal."""
        times = [v.at for v in self._own_verifications() if v.passed and v.method == "restore"]
        return max(times, default=None)

    @property
    def last_passed(self) -> Verification | None:
        """The newest look at these bytes that found them sound."""
        passed = (v for v in self._own_verifications() if v.passed)
        return max(passed, key=lambda v: v.at, default=None)

    def _own_verifications(self) -> tuple[Verification, ...]:
        sha256 = self.manifest.sha256 if self.manifest else None
        return tuple(v for v in self.verifications if v.sha256 == sha256)

    def _last_verification(self) -> Verification | None:
        return max(self._own_verifications(), key=lambda v: v.at, default=None)
