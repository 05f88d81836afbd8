"""Before a recovery: which backup, which steps apply, and in a drill the disaster itself.

Each public function is a cell of the scenarios' notebooks.
"""

from __future__ import annotations

from collections.abc import Iterator

from archon_ops.actions import restore
from archon_ops.actions.examining import examine
from archon_ops.actions.recovery import checkout, containers, infrastructure
from archon_ops.errors import PreconditionError, UsageError
from archon_ops.model.plan import DATABASE
from archon_ops.model.report import Silent
from archon_ops.model.scenario import MIGRATION, SYSTEM_LOSS, promise
from archon_ops.model.shown import Table, facts
from archon_ops.model.units import human_size, zulu
from archon_ops.rig import disasters
from archon_ops.rig.stage import staged
from archon_ops.runbook import describe, steps
from archon_ops.runbook.drill import newest_copy, newest_trustworthy
from archon_ops.runbook.moment import as_of
from archon_ops.runbook.target import Target, aim
from archon_ops.storage.reference import Located, resolve

__all__ = ["aim", "choose", "plan", "ruin"]

SHOWN = 5
_DISASTERS = {
    1: disasters.lose_system,
    2: disasters.corrupt,
    3: disasters.remove_containers,
    4: disasters.delete_rows,
    5: disasters.fail_migration,
}


def choose(target: Target) -> Table:
    """The newest backup that can be trusted, or the one that was asked for; and what else there is.

    Raises:
        PreconditionError: the scenario means nothing to such a source.
        OpsError: there is no backup to recover from.
    """
    run = target.run
    if target.scenario.needs_containers and not target.has_services:
        raise PreconditionError(
            f"source {run.site.name} has no containers of Archon's, so none can be deleted",
            "inv runbooks lists the scenarios; sources.NAME.services names containers",
        )
    if target.live and not target.scenario.restores:
        return facts("Backup", ("Backup", "none is needed: the database is not touched"))
    target.located, told = _located(target)
    describe.backup(run, target.located)
    if origin := target.located.origin:
        found = describe.manifest_of(target.located)
        as_of = ("Holds the database as of", zulu(found.snapshot_at))
        return facts("Backup", ("Name", f"{found.name}, fetched from {origin}"), as_of)
    columns = ("", "backup", "holds the database as of", "size", "trust")
    rows = tuple(
        (
            "->" if b.name == target.located.backup.name else "",
            b.name,
            zulu(b.taken_at),
            human_size(b.size_bytes),
            b.trust.value,
        )
        for b in run.site.directory.catalog().ordinary[:SHOWN]
    )
    return Table("Backups, newest first", columns, rows, told)


def _located(target: Target) -> tuple[Located, str]:
    """The backup, and what else is to be said of where it is from."""
    wishes = target.wishes
    if sum(map(bool, (wishes.backup, wishes.offsite, wishes.moment))) > 1:
        raise UsageError("backup, offsite and moment exclude each other", "give one of them")
    if wishes.moment:
        return as_of(target.run, wishes.moment)
    if wishes.offsite:
        return newest_copy(target.run, wishes.offsite), ""
    return _wished(target) if wishes.backup else newest_trustworthy(target.run), ""


def _wished(target: Target) -> Located:
    located = resolve(target.run.site.directory, target.wishes.backup)
    examine(target.run.site, located)
    return located


def plan(target: Target) -> tuple[Table, ...]:
    """What will be done to what; steps that do not apply are told beforehand."""
    run = target.run
    if target.live and target.scenario is SYSTEM_LOSS and steps.repository_of(target.case):
        checkout.require_place(target.code)  # not only after the restore
    for text in steps.not_applying(target.case):
        run.not_covered(text)
    run.fact("target", target.spelled if target.live else f"a sandbox of {target.spelled}")
    shown = run.plan(*steps.steps_of(target.case))
    promised = promise(target.scenario.expected_seconds)
    note = f"Target: {target.spelled}. " if target.live else "Target: a sandbox. "
    note += f"At risk: {target.scenario.data_at_risk}. The handbook promises {promised}."
    return (Table(shown.title, shown.columns, shown.rows, note), *_restore_plan(target))


def _restore_plan(target: Target) -> Iterator[Table]:
    """Live: what the restore would do to the database that is there, and take out of service."""
    located, site = target.located, target.run.site
    if not target.live or located is None or not target.case.full:
        return
    if target.scenario is SYSTEM_LOSS:
        return
    request = target.request(str(located.path))
    planned = restore.plan(site.reporting_to(Silent()), request)
    yield Table("Restore", (), tuple((line,) for line in planned.text().splitlines()))


def ruin(target: Target) -> Table:
    """In a drill: a sandbox with the backup in it, work that goes on, and then the disaster.

    Raises:
        OpsError: the sandbox could not be made, or the disaster did not happen.
    """
    if target.live:
        return facts("The disaster", ("Live", "it has happened already; nothing is destroyed here"))
    located = target.located
    if located is None:
        raise PreconditionError("there is no backup yet", "run the cells in order")
    with target.run.step(*steps.SANDBOX):
        _fill(target, located)
    with target.run.step(*steps.DISASTER):
        later = disasters.write_later(target.sandbox)
        done = _DISASTERS[target.scenario.number](target.sandbox)
        target.ruined = True
    if target.scenario is MIGRATION:
        target.migration = disasters.corrected_migration(target.sandbox)
    target.run.fact("disaster", {"what": done.what, "seen": done.seen, "later": later})
    pairs = (("Written after the backup", later), ("Done", done.what), ("Seen", done.seen))
    return facts("The disaster", *pairs)


def _fill(target: Target, located: Located) -> None:
    """Everything as it was at the time of the backup."""
    run, manifest = target.run, describe.manifest_of(located)
    target.stage = run.hold(staged(run.site, manifest))
    target.site = site = target.stage.site
    for text in target.stage.not_covered:
        run.not_covered(text)
    infrastructure.bring_up(site)
    infrastructure.roles_again(site, manifest)
    infrastructure.trigger_owners_again(site, located, manifest)
    request = restore.Request(str(located.path), trust=True, scope=DATABASE)
    restore.restore(site.for_next_run(), request, lambda _: None)
    with site.server() as server:
        describe.sandbox(run, server, site.database)
    if containers.has_services(site):
        verdicts = containers.recreate(site)
        target.healthy_before = frozenset(v.name for v in verdicts if v.well)
        for verdict in verdicts:
            if not verdict.well:
                run.deviation(f"not well in a sandbox even before: {verdict.name}: {verdict.why}")
