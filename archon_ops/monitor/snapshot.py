"""The one read model: the state of a source's backups; commands, API, metrics and alerts say it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from archon_ops.errors import OpsError
from archon_ops.model import documents
from archon_ops.model.backup import Backup
from archon_ops.model.catalog import Catalog
from archon_ops.model.documents import Document
from archon_ops.model.health import Health, Level, assess_catalog
from archon_ops.model.pitr.concerns import Concern, concern
from archon_ops.model.pitr.state import State
from archon_ops.model.runs import RunRecord
from archon_ops.monitor.key import KeyWatch
from archon_ops.monitor.watched import Watched
from archon_ops.storage import pitr
from archon_ops.storage.directory import Oddity
from archon_ops.storage.memory import Memory
from archon_ops.storage.space import Room, room


@dataclass(frozen=True)
class Snapshot:
    """A source's backups at one moment.

    Attributes:
        watched: the source.
        taken_at: UTC time that ages are counted to.
        catalog: its backups, as far as a status speaks of them.
        oddities: what bears a dump's name and is none.
        records: of its runs, newest first.
        health: the verdict.
        room: of the file system; None where there is no directory.
        key_changed: whether Archon's encryption key is another one than in the newest backup that
            knows one; None where that cannot be told.
        trouble: why the directory could not be read; the other fields are empty then.
        pitr: what was last seen of its point-in-time recovery; None where it has none.
    """

    watched: Watched
    taken_at: datetime
    catalog: Catalog
    oddities: tuple[Oddity, ...]
    records: tuple[RunRecord, ...]
    health: Health
    room: Room | None
    key_changed: bool | None
    trouble: OpsError | None = None
    pitr: State | None = None

    @property
    def location(self) -> str:
        """The directory, as it is shown."""
        return os.fsencode(self.watched.directory.path).decode("utf-8", "backslashreplace")

    @property
    def subject(self) -> Backup | None:
        """The backup that it speaks of."""
        return self.catalog.subject()

    @cached_property
    def concern(self) -> Concern | None:
        """The worst that is wrong with its point-in-time recovery."""
        if self.trouble:  # of what lies in there nothing is known
            return None
        return concern(self.pitr, self.taken_at, self.watched.pitr_due)

    @cached_property
    def status(self) -> Document:
        """The document's status, then what else is known."""
        answer = documents.status_document(
            self.watched.name,
            self.catalog,
            self.health,
            max_retention=self.watched.max_retention,
            location=self.location,
            disk_usage_percent=self.room.used_percent if self.room else None,
            now=self.taken_at,
        )
        return {
            **answer,
            **documents.runs_document(self.records),
            "display_name": self.watched.display_name,
            "thresholds": documents.thresholds_document(self.watched.thresholds),
            "encryption_key_changed": self.key_changed,
            "ignored_count": len(self.oddities),
            "pitr": self.pitr.document(self.taken_at) if self.pitr else None,
        }

    @cached_property
    def listing(self) -> Document:
        """The document's list, then what else is known."""
        return {
            **documents.list_document(self.catalog, self.location, self.taken_at),
            "source": self.watched.name,
            "ignored": [{"name": odd.name, "what": odd.what} for odd in self.oddities],
            "pitr_backups": self.pitr.entries(self.taken_at) if self.pitr else [],
        }

    @cached_property
    def verdict(self) -> Document:
        """The document's health check, then what else is known."""
        subject = self.subject
        return {
            **documents.health_document(self.health),
            "source": self.watched.name,
            "trust": subject.trust.value if subject else None,
        }


class Reader:
    """Reads one source again and again; only what changed is read anew.

    Args:
        watched: the source.
    """

    def __init__(self, watched: Watched) -> None:
        self.watched = watched
        self._memory = Memory(watched.directory)
        self._key = KeyWatch(watched.home)

    def read(self, now: datetime) -> Snapshot:
        """The state at `now` (UTC).

        Raises:
            OpsError: the directory cannot be read.
        """
        listing = self._memory.scan()
        records = self._memory.records()
        catalog = Catalog(listing.backups)
        path = self.watched.directory.path
        changed, reason = self._key.changed(catalog, records)
        health = assess_catalog(catalog, self.watched.thresholds, now, records)
        return Snapshot(
            self.watched,
            now,
            catalog,
            listing.oddities,
            records,
            health.because(reason) if reason else health,
            room(path) if path.is_dir() else None,
            changed,
            pitr=pitr.recall(self.watched.directory),
        )

    def look(self, now: datetime) -> Snapshot:
        """The same for those who show it: what cannot be read is critical, and says why."""
        try:
            return self.read(now)
        except OpsError as error:
            return unreadable(self.watched, now, error)


def unreadable(watched: Watched, now: datetime, error: OpsError) -> Snapshot:
    """The state of a source whose directory cannot be read."""
    reasons = tuple(text for text in (error.message, error.hint) if text)
    health = Health(Level.CRITICAL, "Backup directory cannot be read", None, reasons)
    return Snapshot(watched, now, Catalog(()), (), (), health, None, None, error)
