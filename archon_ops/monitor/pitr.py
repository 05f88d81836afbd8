"""What was last seen of point-in-time recovery, as rows and lines for people."""

from __future__ import annotations

from datetime import datetime

from archon_ops.model.pitr.state import State
from archon_ops.model.units import human_duration, human_size, zulu

COLUMNS = ("label", "kind", "ended", "age", "database", "stored", "took", "proven", "builds on")


def rows(state: State, now: datetime) -> list[tuple[str, ...]]:
    """A row for each backup, newest first."""
    return [
        (
            label.name,
            label.kind if label.name not in state.elsewhere else f"{label.kind}, other branch",
            zulu(label.stopped_at),
            f"{(now - label.stopped_at).total_seconds() / 3600:.1f}h",
            human_size(label.database_bytes),
            human_size(label.stored_bytes),
            human_duration(label.seconds),
            "DAMAGED" if label.damaged else "yes" if label.name in state.proven else "no",
            label.prior or "-",
        )
        for label in reversed(state.labels)
    ]


def window_text(state: State) -> str:
    """The times that can be restored, in a line."""
    if state.earliest is None or state.latest is None:
        return "no moment can be restored yet: inv pitr.backup --type full"
    text = f"any moment can be restored from {zulu(state.earliest)} to {zulu(state.latest)}"
    ended = [
        f"from {zulu(hole.since) if hole.since else 'an unknown time'} to {zulu(hole.until)}"
        for hole in state.holes
        if hole.until
    ]
    text += f", but not {', nor '.join(ended)}: WAL is missing" if ended else ""
    elsewhere = {label.timeline or 0 for label in state.labels if label.name in state.elsewhere}
    if not elsewhere and state.timeline in (None, 1):
        return text
    others = " and ".join(f"--timeline {number}" for number in sorted(elsewhere))
    return f"{text}; on timeline {state.timeline}" + (f", others by {others}" if others else "")
