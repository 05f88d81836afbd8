"""The cluster as it was at a moment."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from archon_ops.cli.command import Run, command
from archon_ops.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from archon_ops.actions.pitr.find import Found
    from archon_ops.actions.pitr.restore import Brought
    from archon_ops.model.pitr.replacement import ReplacementPlan
    from archon_ops.site import Site

CLUSTER = "cluster"


@command(
    help={
        "time": "'2026-11-24 15:00:00+01', '5 minutes ago', or latest",
        "name": "a restore point instead: archon_ops-LABEL of a backup in inv pitr.list",
        "rescue": "then bring rows back from there: goes with --table",
        "table": "with --rescue: the table; in public, or SCHEMA.TABLE",
        "where": "with --rescue: which rows, one SQL expression",
        "changed": "with --rescue: rows that changed since go back too",
        "scope": "archon: then restore all of Archon from there; cluster: replace all there is",
        "losing": "with --scope cluster: A,B, every database that loses data; instead of typing it",
        "timeline": "of the archive, after an earlier recovery; the server's own without it",
    },
)
def restore(
    run: Run,
    time: str | None = None,
    name: str | None = None,
    rescue: bool = False,
    table: str | None = None,
    where: str | None = None,
    changed: bool = False,
    scope: str | None = None,
    losing: str | None = None,
    timeline: int | None = None,
    yes: bool = False,
) -> ExitCode:
    """Recover the cluster as it was, in a sandbox, and take a proven backup of that."""
    from archon_ops.actions.pitr.restore import Request
    from archon_ops.actions.pitr.restore import restore as action
    from archon_ops.cli.shared import site_of

    if bool(time) == bool(name):
        raise UsageError("one of --time and --name", "inv pitr.list shows what can be restored")
    _refuse_contradictions(rescue, table, any((where, changed)), scope)
    if losing is not None and scope != CLUSTER:
        raise UsageError("--losing goes with --scope cluster")
    site = site_of(run)
    run.console.banner("Archon Point-in-Time Recovery", site.display_name)

    def confirm(planned: ReplacementPlan) -> None:
        _confirm_losses(run, planned, losing, yes=yes)

    decide = confirm if scope == CLUSTER else None
    brought = action(site, Request(time or "", name or "", decide, timeline))
    document = _told(run, site, brought)
    code = brought.exit_code
    if rescue:
        code = max(code, _rescue(run, site, brought, table or "", where, changed, document))
    elif brought.replaced:
        document["cluster"] = {
            "plan": brought.replaced.plan.document(),
            "kept": brought.replaced.kept.name,
        }
    elif scope:
        code = max(code, _restore(run, site, brought, document))
    else:
        run.console.info(f"rows back:          inv rescue {brought.backup} --table TABLE")
        run.console.info(f"all of Archon back: inv restore {brought.backup}")
    if run.options.json:
        run.console.json(document)
    return code


@command(
    help={
        "table": "the table; in public, or SCHEMA.TABLE",
        "where": "which rows, one SQL expression; without it: all of the table",
        "since": "a moment at which they were there; the earliest that can be restored without it",
        "timeline": "of the archive, after an earlier recovery; the server's own without it",
    },
)
def find(
    run: Run,
    table: str | None = None,
    where: str | None = None,
    since: str | None = None,
    timeline: int | None = None,
) -> ExitCode:
    """Find the commit with which rows disappeared, by looking at moments in a sandbox."""
    from archon_ops.actions.pitr.find import Request
    from archon_ops.actions.pitr.find import find as action
    from archon_ops.cli.shared import site_of

    if not table:
        raise UsageError("--table is missing", "--table archon_tasks --where \"title = 'x'\"")
    site = site_of(run)
    run.console.banner("When Did They Disappear?", site.display_name)
    found = action(site, Request(table, where, since, timeline))
    following = _next_command(found, where, timeline)
    if run.options.json:
        run.console.json({"source": site.name, **_document(found, following)})
        return ExitCode.DONE
    gone = found.vanished
    at = f"{gone.at:%Y-%m-%d %H:%M:%S.%f} UTC"
    if gone.transaction:
        who = f"transaction {gone.transaction}, committed at {at},"
    else:
        who = f"something committed after {gone.before:%Y-%m-%d %H:%M:%S.%f} and by {at}"
    run.console.ok(f"{who} left {gone.rows_after} of {gone.rows_before} rows")
    run.console.info(f"{len(found.probes)} moments were looked at, in a sandbox")
    run.console.info(f"as they were right before: {following}")
    return ExitCode.DONE


def _document(found: Found, following: str) -> dict[str, object]:
    from archon_ops.model.units import exact

    gone = found.vanished
    return {
        "table": found.table,
        "at": exact(gone.at),
        "transaction": gone.transaction,
        "rows_before": gone.rows_before,
        "rows_after": gone.rows_after,
        "before": exact(gone.before),
        "next": following,
        "probes": [{"at": exact(p.at), "rows": p.rows} for p in found.probes],
    }


def _next_command(found: Found, where: str | None, timeline: int | None) -> str:
    """What brings the rows back as they were right before."""
    from archon_ops.model.units import exact

    words = ["inv", "pitr.restore", "--time", exact(found.vanished.before)]
    words += ["--timeline", str(timeline)] if timeline else []
    words += ["--rescue", "--table", found.table]
    return shlex.join([*words, *(("--where", where) if where else ())])


def _refuse_contradictions(
    rescue: bool, table: str | None, choosing: bool, scope: str | None
) -> None:
    if rescue and not table:
        raise UsageError("--rescue needs --table", "--table archon_tasks --where \"title = 'x'\"")
    if not rescue and (table or choosing):
        raise UsageError("--table, --where and --changed go with --rescue")
    if scope not in (None, "archon", CLUSTER):
        raise UsageError(
            f"--scope {scope!r} is not known", "--scope archon, --scope cluster, or leave it out"
        )
    if scope and rescue:
        raise UsageError("--rescue and --scope exclude each other: rows, or all of it")


def _confirm_losses(run: Run, planned: ReplacementPlan, losing: str | None, *, yes: bool) -> None:
    """Have a person, or whoever wrote the command, name every database that loses data.

    Raises:
        PreconditionError: they are not named, or others are.
    """
    from archon_ops.errors import PreconditionError
    from archon_ops.model.pitr.replacement import quoted

    if losing is None and not (yes and planned.losing):
        run.console.confirm(planned.typed, planned.text())
        return
    run.console.say(planned.text())
    if losing is None or not planned.names(losing):
        those = ", ".join(map(quoted, planned.losing)) or "no database"
        said = "--yes does not name them" if losing is None else f"--losing says {losing!r}"
        raise PreconditionError(
            f"{those} would lose data, and {said}; nothing was changed",
            f"read the plan; then --losing {shlex.quote(','.join(map(quoted, planned.losing)))}",
        )


def _told(run: Run, site: Site, brought: Brought) -> dict[str, object]:
    from archon_ops.model.units import exact, human_duration, zulu

    run.console.phase("pitr.summary", "Point-in-Time Recovery Summary")
    for note in brought.proof.not_proven:
        run.console.warn(f"not proven: {note}")
    if brought.timeline > 1:
        run.console.info(
            f"timeline {brought.timeline}: the cluster was recovered before, and this follows what "
            "came of that"
        )
    run.console.ok(
        f"{brought.backup} holds {site.database} as of {zulu(brought.moment)}"
        + ("" if brought.replaced else "; the live database was not touched")
    )
    if replaced := brought.replaced:
        run.console.ok(f"the whole cluster is as of then: {site.source.container}")
        run.console.info(f"the one before is kept as {replaced.kept.name}: inv undo")
    run.console.info(f"took {human_duration(brought.seconds['total'])}")
    stopped = brought.stopped
    return {
        "source": site.name,
        "moment": exact(brought.moment),
        "point": stop.value if (stop := brought.aim.stop).kind == "name" else None,
        "begun_with": brought.aim.label.name,
        "last_commit": stopped.last_commit,
        "next_commit": stopped.next_commit,
        "next_transaction": stopped.next_transaction,
        "timeline": brought.timeline,
        "backup": brought.backup,
        "proof": brought.proof.document(),
        "seconds": {name: round(value, 3) for name, value in brought.seconds.items()},
    }


def _rescue(
    run: Run,
    site: Site,
    brought: Brought,
    table: str,
    where: str | None,
    changed: bool,
    document: dict[str, object],
) -> ExitCode:
    from archon_ops.actions import rescue as action
    from archon_ops.cli import rescue as cli
    from archon_ops.model.rescue import RescuePlan

    def confirm(planned: RescuePlan) -> None:
        cli.print_counts(run, planned)
        if planned.rows:
            run.console.confirm(planned.target, planned.text())
        else:
            run.console.say(planned.text())

    request = action.Request(brought.backup, table, where, changed)
    done = action.rescue(site.for_next_run(), request, confirm)
    cli.print_done(run, done)
    document["rescue"] = {"plan": done.plan.document(), "proof": done.proof.document()}
    return done.exit_code


def _restore(run: Run, site: Site, brought: Brought, document: dict[str, object]) -> ExitCode:
    from archon_ops.actions import restore as action
    from archon_ops.model.plan import ARCHON, RestorePlan

    def confirm(planned: RestorePlan) -> None:
        run.console.confirm(planned.target, planned.text())

    done = action.restore(
        site.for_next_run(), action.Request(brought.backup, scope=ARCHON), confirm
    )
    run.console.ok(
        f"Archon is as of then; what was there is kept as {done.kept.name}: inv undo"
        if done.kept
        else "Archon is as of then"
    )
    document["restore"] = {
        "plan": done.plan.document(),
        "proof": done.proof.document(),
        "kept": done.kept.name if done.kept else None,
    }
    return done.exit_code
