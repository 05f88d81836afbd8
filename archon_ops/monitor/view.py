"""A source as dashboard and alerts see it, whether its files are here or an API tells of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from archon_ops.errors import OpsError
from archon_ops.model.health import Level
from archon_ops.model.text import clean
from archon_ops.monitor.pitr import window_text
from archon_ops.monitor.snapshot import Snapshot

CAUSE_LIMIT = 200


@dataclass(frozen=True)
class View:
    """One source.

    Attributes:
        key: its name in the settings.
        name: its name for people.
        level: the verdict; None where its API is not available.
        message: in words; the cause where it is not available.
        reasons: of the verdict.
        age_hours: of the newest backup.
        size: of the newest backup, for people.
        count: number of backups, but for those with a label, which are kept apart.
        most: how many are kept.
        trust: of the newest backup, where that is known.
        snapshot: all that is known of a source whose files are here.
        notes: what else a person wants to see of it.
        labelled: number of backups with a label; of an API they are in `count`.
    """

    key: str
    name: str
    level: Level | None
    message: str
    reasons: tuple[str, ...] = ()
    age_hours: float | None = None
    size: str = "-"
    count: int = 0
    most: int | None = None
    trust: str | None = None
    snapshot: Snapshot | None = None
    notes: tuple[str, ...] = ()
    labelled: int = 0


def local_view(found: Snapshot) -> View:
    """Of files that are here."""
    subject = found.subject
    labelled = sum(backup.label is not None for backup in found.catalog.ordinary)
    return View(
        key=found.watched.name,
        name=found.watched.display_name,
        level=found.health.level,
        message=found.health.message,
        reasons=found.health.reasons,
        age_hours=found.health.age_hours,
        size=str(found.status["size_human"]) if subject else "-",
        count=len(found.catalog.ordinary) - labelled,
        labelled=labelled,
        most=found.watched.max_retention,
        trust=subject.trust.value if subject else None,
        snapshot=found,
        notes=_about_pitr(found),
    )


def _about_pitr(found: Snapshot) -> tuple[str, ...]:
    """The window that can be restored, and what is wrong with it."""
    window = (window_text(found.pitr),) if found.pitr else ()
    return (*window, *((found.concern.text,) if found.concern else ()))


def unavailable(key: str, name: str, cause: str) -> View:
    """Of an API that does not answer as it should."""
    return View(key, name, None, clean(cause)[:CAUSE_LIMIT])


def remote_view(key: str, name: str, answer: object) -> View:
    """Of the status that an API answered.

    Raises:
        OpsError: it is none; says why.
    """
    if not isinstance(answer, Mapping):
        raise OpsError("it answers other JSON: no object")
    level = _level(answer.get("health"))
    trust = answer.get("trust")
    return View(
        key=key,
        name=name,
        level=level,
        message=_text(answer, "health_message"),
        reasons=_texts(answer.get("health_reasons")),
        age_hours=_age(answer.get("age_hours")),
        size=_text(answer, "size_human"),
        count=_whole(answer, "count"),
        most=_whole(answer, "max_retention"),
        trust=clean(trust) if isinstance(trust, str) else None,
    )


def _level(value: object) -> Level:
    try:
        return Level(str(value))
    except ValueError:
        raise OpsError("it answers other JSON: no `health` that is known") from None


def _text(answer: Mapping[str, object], key: str) -> str:
    value = answer.get(key)
    if not isinstance(value, str):
        raise OpsError(f"it answers other JSON: no text `{key}`")
    return clean(value)[:CAUSE_LIMIT]


def _whole(answer: Mapping[str, object], key: str) -> int:
    value = answer.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise OpsError(f"it answers other JSON: no number `{key}`")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(clean(text)[:CAUSE_LIMIT] for text in value if isinstance(text, str))


def _age(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise OpsError("it answers other JSON: no number `age_hours`")
    return float(value)
