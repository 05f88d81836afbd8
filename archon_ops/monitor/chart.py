"""Sizes of backups over time, as bars of text."""

from __future__ import annotations

from collections.abc import Sequence

from archon_ops.model.backup import Backup
from archon_ops.model.units import human_size, zulu
from archon_ops.monitor.panel import DRAWN, Glyphs

_LEAST = 4


def sizes(backups: Sequence[Backup], width: int, glyphs: Glyphs = DRAWN) -> tuple[str, ...]:
    """A bar for each backup, from the oldest to the newest.

    Args:
        backups: newest first.
        width: columns that there are.
        glyphs: signs to draw it with.
    """
    if not backups:
        return ("no backups",)
    most = max(1, *(backup.size_bytes for backup in backups))
    labels = [human_size(backup.size_bytes) for backup in backups]
    aside = len(zulu(backups[0].taken_at)) + max(map(len, labels)) + 2
    room = max(width - aside, _LEAST)
    return tuple(
        f"{zulu(backup.taken_at)} {label:>{max(map(len, labels))}} "
        f"{glyphs.bar * max(round(room * backup.size_bytes / most), 1)}"
        for backup, label in zip(reversed(backups), reversed(labels), strict=True)
    )
