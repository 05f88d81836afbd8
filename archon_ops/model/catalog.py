"""All backups of a directory, and the questions that commands ask of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from archon_ops.model.backup import Backup


def age_key(backup: Backup) -> tuple[datetime, str]:
    """What backups are sorted by: what they hold, then the name, so that ties have an order."""
    return backup.taken_at, backup.name


def age_hours(backup: Backup, now: datetime) -> float:
    """Hours since what it holds; negative when its time lies in the future."""
    return (now - backup.taken_at).total_seconds() / 3600


@dataclass(frozen=True)
class Catalog:
    """The backups of one directory, in any order."""

    backups: tuple[Backup, ...]

    @property
    def newest_first(self) -> tuple[Backup, ...]:
        """All of them, safety and foreign ones included."""
        return tuple(sorted(self.backups, key=age_key, reverse=True))

    @property
    def ordinary(self) -> tuple[Backup, ...]:
        """Those that lie in the directory itself, newest first: no safety backups."""
        return tuple(backup for backup in self.newest_first if not backup.safety)

    @property
    def safety(self) -> tuple[Backup, ...]:
        """Those taken before something dangerous, newest first."""
        return tuple(backup for backup in self.newest_first if backup.safety)

    def latest(self) -> Backup | None:
        """The newest managed one, sound or not; safety backups do not count."""
        return _first(backup for backup in self.ordinary if backup.managed)

    def newest_trustworthy(self) -> Backup | None:
        """The newest one that a restore may rely upon; safety backups do not count."""
        return _first(backup for backup in self.ordinary if backup.trustworthy)

    def subject(self) -> Backup | None:
        """The one that a status speaks of: the latest, else the newest foreign dump."""
        return self.latest() or _first(self.ordinary)

    def find(self, name: str) -> Backup | None:
        """The backup of this file name; an ordinary one goes before a safety one."""
        return _first(b for b in (*self.ordinary, *self.safety) if b.name == name)


def _first(backups: Iterable[Backup]) -> Backup | None:
    return next(iter(backups), None)
