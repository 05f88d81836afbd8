"""What is watched of a source: where its backups lie, and what is expected of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from archon_ops.errors import UsageError
from archon_ops.model.health import Thresholds
from archon_ops.model.schedule import Entry
from archon_ops.settings import Settings
from archon_ops.storage.directory import Directory


@dataclass(frozen=True)
class Watched:
    """A source as far as watching it goes: no server, no password.

    Attributes:
        name: name of the source.
        display_name: its name for people.
        directory: where its backups lie.
        thresholds: ages at which its newest backup is worrying.
        max_retention: how many backups are kept.
        pitr_due: when pgBackRest's backups are due, by their kind.
        home: folder with its Archon's `.env`; None where nothing but the backup directory may be
            read.
    """

    name: str
    display_name: str
    directory: Directory
    thresholds: Thresholds
    max_retention: int
    pitr_due: Mapping[str, Entry]
    home: Path | None


def watched(
    settings: Settings, name: str, backup_dir: Path | None = None, *, confined: bool = False
) -> Watched:
    """The source of this name.

    Args:
        settings: the configuration.
        name: of the source.
        backup_dir: another backup directory.
        confined: whether nothing but the backup directory may be read.

    Raises:
        UsageError: there is no such source, or the thresholds do not rise.
    """
    source = settings.sources.get(name)
    if source is None:
        known = ", ".join(sorted(settings.sources))
        raise UsageError(f"unknown source {name!r}", f"known: {known}")
    return Watched(
        name=name,
        display_name=source.display_name or name,
        directory=Directory((backup_dir or settings.backup_dir(name)).absolute()),
        thresholds=settings.thresholds,
        max_retention=settings.retention.last,
        pitr_due=settings.pitr_due(name),
        home=None if confined else settings.home(name),
    )
