"""Bringing backups back, and taking that back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archon_ops.cli import keys
from archon_ops.cli.command import Run, command
from archon_ops.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from archon_ops.actions.restore import Request
    from archon_ops.site import Site

SCOPES = ("archon", "database")


@command(
    positional="backup_file",
    help={
        "backup_file": "latest, a name, a path, or offsite:latest; may be encrypted",
        "scope": "archon: Archon's objects alone (the default); database: the whole database",
        "database": "name for the restored database; another than the source's is made beside",
        "trust": "accept a dump that proves nothing, or another server's; says what is not proven",
        "accept_unreadable": "let live data go that cannot be read, so neither counted nor saved",
        "schema": "with --into: all of this schema",
        "table": "with --into: this table; in public, or SCHEMA.TABLE",
        "into": "a new schema that --schema or --table goes into, beside what lives",
        "backup_dir": "another directory than the source's",
        "from_": "with offsite:…: name of the place in the settings, or its URL",
        "create_roles": "make roles that the server lacks, without login and password",
        **keys.HELP,
    },
)
def restore(
    run: Run,
    backup_file: str,
    scope: str | None = None,
    database: str | None = None,
    trust: bool = False,
    accept_unreadable: bool = False,
    schema: str | None = None,
    table: str | None = None,
    into: str | None = None,
    backup_dir: str | None = None,
    from_: tuple[str, ...] = (),
    identity: str | None = None,
    passphrase_fd: int | None = None,
    create_roles: bool = False,
    dry_run: bool = False,
    yes: bool = False,
) -> ExitCode:
    """Bring a backup back: built beside, proven equal, then switched in."""
    from archon_ops.actions import restore as action
    from archon_ops.actions.offsite.here import PREFIX, here
    from archon_ops.actions.status import require_made
    from archon_ops.cli import beside
    from archon_ops.cli.shared import site_of

    if scope is not None and scope not in SCOPES:
        raise UsageError(f"--scope {scope!r} is not known", f"one of: {', '.join(SCOPES)}")
    if database is not None and not database:
        raise UsageError("--database is empty")
    others = (scope, database, trust, accept_unreadable, create_roles)
    part = beside.request_of(schema, table, into, any(others))
    site = site_of(run, backup_dir)
    offsite = backup_file.startswith(PREFIX)
    if from_ and not offsite:
        raise UsageError("--from goes with a copy that lies there", "inv restore offsite:latest")
    if "/" not in backup_file and not offsite:
        require_made(site)
    run.console.banner("Archon Database Restore", site.display_name)
    given = keys.keys_of(identity, passphrase_fd)
    with here(site, backup_file, from_, given) as reference:
        if part:
            return beside.restore_beside(run, site.for_next_run(), reference, part, dry_run)
        if create_roles:
            _create_roles(run, site, reference, dry_run=dry_run)
        request = action.Request(reference, database, trust, scope, accept_unreadable)
        return _restored(run, site.for_next_run(), request, dry_run=dry_run)


def _create_roles(run: Run, site: Site, reference: str, *, dry_run: bool) -> None:
    """Make the roles that a backup names and the server lacks; say what they still lack."""
    from archon_ops.actions import roles

    missing = roles.missing(site, reference)
    if not missing:
        return
    listed = ", ".join(missing)
    if dry_run:
        run.console.info(f"would make the roles {listed}; the plan goes on once they are there")
        return
    run.console.confirm(site.name, f"Make the roles {listed} on the server, without login")
    roles.create(site.for_next_run(), missing)
    run.console.warn(
        f"the roles {listed} are new and cannot log in: passwords are in no dump; "
        "ALTER ROLE … LOGIN PASSWORD … for those that do"
    )


def _restored(run: Run, site: Site, request: Request, *, dry_run: bool) -> ExitCode:
    """Plan, or carry out, and print what came of it."""
    from archon_ops.actions import restore as action
    from archon_ops.model.plan import RestorePlan
    from archon_ops.model.units import human_duration

    if dry_run:
        planned = action.plan(site, request)
        if run.options.json:
            run.console.json({"source": site.name, "dry_run": True, "plan": planned.document()})
        else:
            run.console.data(f"{planned.text()}\n")
        return ExitCode.DONE

    def confirm(planned: RestorePlan) -> None:
        run.console.confirm(planned.target, planned.text())

    done = action.restore(site, request, confirm)
    run.console.phase("restore.summary", "Restoration Summary")
    run.console.ok(f"{done.plan.database} holds {done.plan.backup.name}")
    rows = sum(t.rows_found or 0 for t in done.proof.tables)
    if done.proof.equal:
        run.console.ok(
            f"proven equal: {rows} rows in {len(done.proof.tables)} tables, every schema object"
        )
    for note in done.proof.not_proven:
        run.console.warn(f"not proven: {note}")
    if done.kept:
        run.console.info(
            f"what was there before is kept as {done.kept.name}; inv undo brings it back"
        )
    run.console.info(f"took {human_duration(done.seconds)}")
    verdict = {
        ExitCode.DONE: "Completed Successfully",
        ExitCode.INCONCLUSIVE: "Done, Not Fully Proven",
    }.get(done.exit_code, "Done, Services Did Not Come Back")
    run.console.banner(f"Restore {verdict}", site.display_name)
    if run.options.json:
        run.console.json(
            {
                "source": site.name,
                "plan": done.plan.document(),
                "proof": done.proof.document(),
                "kept": done.kept.name if done.kept else None,
                "seconds": round(done.seconds, 3),
            }
        )
    return done.exit_code


@command(
    help={
        "list_": "show what is kept, and change nothing",
        "finalize": "drop what is kept; there is no undo after that",
    },
)
def undo(
    run: Run,
    list_: bool = False,
    finalize: bool = False,
    dry_run: bool = False,
    yes: bool = False,
) -> ExitCode:
    """Bring back the database that the last restore replaced; a second undo is the redo."""
    from archon_ops.actions import undo as action
    from archon_ops.cli.shared import site_of
    from archon_ops.model.units import human_duration, human_size, zulu
    from archon_ops.postgres.kept import CLUSTER, Kept

    if list_ and finalize:
        raise UsageError("--list and --finalize exclude each other")
    site = site_of(run)

    def entry(kept: Kept) -> dict[str, object]:
        return {
            "name": kept.name,
            "database": kept.database,
            "kept_at": kept.kept_at,
            "replaced_by": kept.replaced_by,
            "size_bytes": kept.size_bytes,
            "expires_at": kept.kept_at + site.settings.kept_for,
        }

    if list_:
        kept = action.listed(site)
        if run.options.json:
            run.console.json({"source": site.name, "kept": [entry(k) for k in kept]})
        else:
            run.console.table(
                f"Kept for undo of {site.name}",
                ("name", "left service", "replaced by", "size", "expires"),
                [
                    (
                        k.name,
                        zulu(k.kept_at),
                        k.replaced_by,
                        human_size(k.size_bytes),
                        zulu(k.kept_at + site.settings.kept_for),
                    )
                    for k in kept
                ],
            )
        return ExitCode.DONE
    if finalize:
        gone = action.finalize(
            site,
            lambda kept, target: run.console.confirm(
                target, "\n".join(f"Drop {k.name} ({human_size(k.size_bytes)})" for k in kept)
            ),
        )
        if run.options.json:
            run.console.json({"source": site.name, "dropped": [entry(k) for k in gone]})
        return ExitCode.DONE
    run.console.banner("Undo", site.display_name)
    if dry_run:
        planned = action.plan(site)
        if run.options.json:
            run.console.json(
                {
                    "source": site.name,
                    "dry_run": True,
                    "target": planned.target,
                    "kept": entry(planned.kept),
                    "rows_leaving": planned.leaving,
                    "rows_left": planned.rows_leaving,
                    "uncounted": planned.uncounted or None,
                }
            )
        else:
            run.console.data(f"{planned.text()}\n")
        return ExitCode.DONE
    done = action.undo(site, lambda p: run.console.confirm(p.target, p.text()))
    whole = done.plan.kept.scope == CLUSTER
    what = "the whole cluster" if whole else done.plan.kept.database
    run.console.ok(f"{what} is again what it was at {zulu(done.plan.kept.kept_at)}")
    if done.plan.rows_leaving:
        run.console.info(
            f"{done.plan.rows_leaving} rows written since left service with "
            f"{done.kept.name if done.kept else 'it'}; another inv undo brings them back"
        )
    run.console.info(f"took {human_duration(done.seconds)}")
    if run.options.json:
        run.console.json(
            {
                "source": site.name,
                "brought_back": entry(done.plan.kept),
                "kept": done.kept.name if done.kept else None,
                "rows_leaving": done.plan.leaving,
                "rows_left": done.plan.rows_leaving,
                "seconds": round(done.seconds, 3),
            }
        )
    return done.exit_code
