"""Project a source's sizes and times from its own history."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from archon_ops.actions.past import read_history
from archon_ops.actions.status import require_made
from archon_ops.errors import PreconditionError
from archon_ops.model.calibration import calibrated
from archon_ops.model.catalog import Catalog
from archon_ops.model.decisions import Decision, Row, Settings, decisions, table
from archon_ops.model.growth import Growth, Rates, grow, kept_backups, measured_rates
from archon_ops.model.history import History
from archon_ops.model.projection import LEAST_POINTS
from archon_ops.model.runs import Result
from archon_ops.model.units import human_duration
from archon_ops.site import Site
from archon_ops.storage import calibrations
from archon_ops.storage.space import free_bytes

# What minutes tell of a year is noise, however many points they have.
LEAST_SPAN = timedelta(days=2)


@dataclass(frozen=True)
class Outlook:
    """What a history tells of the future.

    Attributes:
        history: what it rests on.
        growth: the projection.
        table: the document's table, recomputed.
        decisions: what falls due when.
    """

    history: History
    growth: Growth
    table: tuple[Row, ...]
    decisions: tuple[Decision, ...]


def outlook(site: Site) -> Outlook:
    """Project the source; the database itself is not asked.

    Raises:
        PreconditionError: the history is too short.
    """
    require_made(site)
    history = read_history(site)
    _require_enough(site, history)
    catalog = site.directory.catalog()
    known = known_rates(site, history, catalog)
    growth = grow(history, known, kept(site, catalog))
    return Outlook(
        history,
        growth,
        table(known, growth.kept),
        decisions(growth, history, _settings(site, catalog)),
    )


def known_rates(site: Site, history: History, catalog: Catalog) -> Rates:
    """What a backup takes: as calibrated for this very database, else as its history tells."""
    measured = measured_rates(history, recoveries(catalog))
    kept = calibrations.read(site.directory)
    newest = history.only(lambda p: p.backup_bytes is not None).newest
    if kept is None or (history.newest and history.newest.identity != kept.identity):
        return measured
    return calibrated(kept, measured, newest)


def _require_enough(site: Site, history: History) -> None:
    """A history that carries a projection: enough points, over days."""
    count, span = len(history.points), history.span
    if count < LEAST_POINTS:
        has, needs = f"{count} point{'' if count == 1 else 's'}", f"{LEAST_POINTS} of them"
    elif span < LEAST_SPAN:
        has = f"{count} points within {human_duration(span.total_seconds())}"
        needs = f"at least {human_duration(LEAST_SPAN.total_seconds())} between first and last"
    else:
        return
    more = f" ({'; '.join(history.notes)})" if history.notes else ""
    raise PreconditionError(
        f"too little history of {site.name}: it has {has}, a projection needs {needs}{more}",
        "each backup adds one (inv backup), and so does: inv size-audit --save",
    )


def kept(site: Site, catalog: Catalog) -> int:
    """How many backups the source's retention keeps at most."""
    labelled = sum(backup.label is not None for backup in catalog.ordinary)
    return kept_backups(site.policy, labelled, len(catalog.safety))


def recoveries(catalog: Catalog) -> tuple[tuple[int, float], ...]:
    """Bytes of the database and seconds of every proven restore that is known, newest first."""
    return tuple(
        (backup.manifest.database_bytes, look.seconds)
        for backup in catalog.newest_first
        if backup.manifest is not None
        for look in backup.verifications
        if look.method == "restore" and look.passed and look.seconds > 0
    )


def _settings(site: Site, catalog: Catalog) -> Settings:
    path, promised = site.directory.path, site.settings.objectives
    return Settings(
        policy=site.policy,
        free_bytes=free_bytes(path) if path.is_dir() else None,
        stored_bytes=sum(backup.size_bytes for backup in catalog.backups),
        backup_time=promised.backup_time,
        recovery_time=promised.recovery_time,
        recovery_point=promised.recovery_point,
        files_back=_files_back(site),
        offsite=any(
            r.action == "offsite" and r.result is Result.DONE for r in site.journal.records()
        ),
    )


def _files_back(site: Site) -> float | None:
    """Seconds for each byte until a recovered cluster answered, in the last recovery by pgBackRest.

    Its size is that of the whole cluster, which is what has to come back.
    """
    for record in site.journal.records():
        took, size = record.details.get("answering_seconds"), record.details.get("cluster_bytes")
        if isinstance(took, float) and isinstance(size, int) and size:
            return took / size
    return None
