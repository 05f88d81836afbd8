"""What speaks for which disaster: the doctor's findings, and the live data against a backup."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import psycopg

from archon_ops.actions.doctor.examine import examine
from archon_ops.actions.recovery import containers, migration
from archon_ops.actions.restoring.losing import Losses, losses
from archon_ops.errors import OpsError
from archon_ops.model.backup import Backup, Manifest
from archon_ops.model.diagnosis import Diagnosis, Finding, Status
from archon_ops.model.inventory import differences
from archon_ops.model.plan import Loss
from archon_ops.model.scenario import Signs
from archon_ops.postgres import databases, facts
from archon_ops.postgres.inventory import read_inventory
from archon_ops.postgres.scope import Scope
from archon_ops.postgres.server import Server
from archon_ops.services.health import look as look_at
from archon_ops.site import Site

_OURS = "public.archon_"
_SHOWN = 5
# What a backup needs and a live source may lack without being in trouble itself.
_REACHING = ("engine", "container", "server", "database")


@dataclass(frozen=True)
class Seen:
    """A source in trouble, as it was looked at.

    Attributes:
        diagnosis: the doctor's.
        backup: the newest one that can be trusted; None where there is none.
        passed_over: newer ones that cannot be, and why; one line each.
        signs: what speaks for which scenario.
        lost: what a full restore of that backup would take out of service; None if not counted.
    """

    diagnosis: Diagnosis
    backup: Backup | None
    passed_over: tuple[str, ...]
    signs: Signs
    lost: Losses | None


def look(site: Site) -> Seen:
    """Look at everything; nothing is changed."""
    diagnosis = examine(site).diagnosis()
    backup = site.directory.catalog().newest_trustworthy()
    signs, lost = _reachable(site, diagnosis), None
    if not signs.gone and not signs.silent and backup is not None:
        signs, lost = _compared(site, backup, signs)
    return Seen(diagnosis, backup, passed_over(site, backup), signs, lost)


def passed_over(site: Site, chosen: Backup | None) -> tuple[str, ...]:
    """Backups of ours that are newer than the chosen one and cannot be trusted."""
    found = []
    for backup in site.directory.catalog().ordinary:
        if backup == chosen:
            break
        if backup.managed:
            found.append(f"{backup.name}: {'; '.join(backup.problems) or 'not trustworthy'}")
    return tuple(found)


def _reachable(site: Site, diagnosis: Diagnosis) -> Signs:
    """Whether server and database are there; services are told in any case."""
    services = _missing_services(site, diagnosis)
    trouble = tuple(f for f in map(diagnosis.find, _REACHING) if f and f.status is Status.PROBLEM)
    if not trouble:
        return Signs(missing_services=services)
    first = trouble[0]
    if site.source.kind == "embedded" and not site.cluster.exists():
        why = (f"there is no database server in {site.cluster.folder}",)
        return Signs(gone=why, missing_services=services)
    why = (f"{first.found} (seen by: {first.looked_at})",)
    if _is_gone(site, first):
        return Signs(gone=why, missing_services=services)
    return Signs(silent=(*why, f"to bring it back: {first.mend}"), missing_services=services)


def _is_gone(site: Site, trouble: Finding) -> bool:
    """Not only stopped: its container or its database does not exist any more."""
    if trouble.check == "container":
        return not site.engine.find(site.source.container)
    return trouble.check == "database"


def _missing_services(site: Site, diagnosis: Diagnosis) -> tuple[str, ...]:
    if not containers.has_services(site) or _engine_is_down(diagnosis):
        return ()
    return tuple(f"container {name} does not exist" for name in containers.missing(site))


def _engine_is_down(diagnosis: Diagnosis) -> bool:
    finding = diagnosis.find("engine")
    return finding is not None and finding.status is Status.PROBLEM


def _compared(site: Site, backup: Backup, signs: Signs) -> tuple[Signs, Losses | None]:
    """The live tables against the backup's."""
    manifest = backup.manifest
    if manifest is None:
        return signs, None
    with site.server() as server:
        try:
            lost = _losses(site, server, backup)
        except (OpsError, psycopg.Error) as error:
            return replace(signs, unreadable=(_first_line(error),)), None
        mine = [loss for loss in lost.tables if loss.table.startswith(_OURS)]
        if mine and all(loss.rows_live is None and not loss.problem for loss in mine):
            empty = (f"database {site.database} holds no table of Archon's",)
            return replace(signs, gone=empty, looked=True), lost
        found = replace(
            signs,
            unreadable=tuple(f"{loss.table}: {loss.problem}" for loss in mine if loss.problem),
            missing_tables=tuple(_missing(mine)),
            missing_rows=tuple(_fewer(mine)),
            looked=True,
        )
        if not found.unreadable:
            half_done = tuple(_half_done(site, server, manifest, mine))
            # An old failure stays in a log for long: it counts where something is wrong now.
            logged = tuple(_logged(site)) if half_done or not _well(site) else ()
            found = replace(found, migration=(*half_done, *logged))
        return found, lost


def _losses(site: Site, server: Server, backup: Backup) -> Losses:
    with server.connect(databases.MAINTENANCE) as connection:
        identifier = facts.system_identifier(connection)
    return losses(site, server, site.database, backup, identifier, archon=True)


def _missing(tables: list[Loss]) -> Iterator[str]:
    for loss in tables:
        if loss.rows_live is None and not loss.problem:
            yield f"{loss.table} is missing; the backup has {loss.rows_backup} rows of it"


def _fewer(tables: list[Loss]) -> Iterator[str]:
    for loss in tables:
        live, then = loss.rows_live, loss.rows_backup
        if live is not None and then is not None and live < then:
            yield f"{loss.table}: {live} rows, {then} in the backup"


def _half_done(site: Site, server: Server, manifest: Manifest, tables: list[Loss]) -> Iterator[str]:
    """Tables that are defined otherwise, though archon_migrations knows of no migration since."""
    with server.connect(site.database) as connection:
        head = facts.migration_head(connection)
        now = read_inventory(connection, Scope(), timeout=site.settings.deadlines.stall)
    if head != manifest.migration_head:
        return
    there = {loss.table for loss in tables if loss.rows_live is not None}
    changed = [
        line
        for line in differences(manifest.inventory, now)
        if line.startswith(("table ", "column ")) and any(table in line for table in there)
    ]
    if changed:
        yield f"no migration is recorded since {head}, and yet the schema is another"
        # What came and went says more than what only moved.
        yield from sorted(changed, key=lambda line: line.endswith("defined otherwise"))[:_SHOWN]


def _well(site: Site) -> bool:
    """Whether all services run and are healthy; also where there are none."""
    if not containers.has_services(site):
        return True
    return all(look_at(container).well for container in site.services().existing())


def _logged(site: Site) -> Iterator[str]:
    if containers.has_services(site):
        seen = migration.in_log(site)
        yield from (f"log of {seen.container}: {line}" for line in seen.failed[-_SHOWN:])


def _first_line(error: Exception) -> str:
    return (error.message if isinstance(error, OpsError) else str(error)).splitlines()[0]
