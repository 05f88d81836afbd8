"""The steps of a recovery: the same in a drill, on a sandbox, and live, on the real target.

Each public function is a cell of the scenarios' notebooks. A step that the plan left out says so.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from archon_ops.actions import restore as restoring
from archon_ops.actions import undo
from archon_ops.actions.doctor import api
from archon_ops.actions.reading import found, questions_for
from archon_ops.actions.recovery import (
    checkout,
    containers,
    environment,
    infrastructure,
    migration,
)
from archon_ops.actions.recovery.rows import bring_back as rows_again
from archon_ops.actions.recovery.rows import counts, lacking
from archon_ops.errors import PreconditionError
from archon_ops.model.backup import Manifest
from archon_ops.model.proof import Proof, prove
from archon_ops.model.scenario import MIGRATION
from archon_ops.model.shown import Table, facts
from archon_ops.model.units import human_duration
from archon_ops.postgres.server import Server
from archon_ops.rig import disasters
from archon_ops.runbook import describe, steps
from archon_ops.runbook.controls import negative_controls
from archon_ops.runbook.target import Target


def infrastructure_up(target: Target) -> Table:
    """A server for the database, and the roles that the backup names."""
    with target.step(*steps.INFRASTRUCTURE):
        up = infrastructure.bring_up(target.site)
        made = infrastructure.roles_again(target.site, _manifest(target))
        if target.stage and target.located:
            infrastructure.trigger_owners_again(target.site, target.located, _manifest(target))
    roles = ", ".join(made) or "none was missing"
    return facts("Infrastructure", ("Server", up.how), ("Roles made, without passwords", roles))


def stop_services(target: Target) -> Table:
    """Nobody of Archon's writes while it is mended."""
    if not target.has_services:
        return _left_out("Services")
    with target.step(*steps.STOP):
        names = containers.stop(target.site)
    return facts("Services", ("Stopped", ", ".join(names) or "none of them ran"))


def restore(target: Target) -> Table:
    """Restore the backup; the database that was there is kept for `inv undo`."""
    located = target.located
    if located is None:
        raise PreconditionError("there is no backup yet", "run the cells in order")
    with target.step(*steps.RESTORE):
        request = target.request(str(located.path))
        done = restoring.restore(target.site.for_next_run(), request, lambda _: None)
        describe.proof(target.run, done.proof, "restored content and inventory")
    return facts(
        "Restored",
        ("Backup", located.backup.name),
        ("Into", done.plan.target),
        ("Rows that left service", done.plan.rows_lost if done.plan.counted else done.plan.basis),
        ("The database before", done.kept.name if done.kept else "there was none"),
        ("Took", human_duration(done.seconds)),
    )


def bring_back(target: Target) -> Table:
    """After a deletion: the rows that are missing; all of the backup where that is wished."""
    if target.case.full:
        return restore(target)
    manifest, located = _manifest(target), target.located
    rows: list[tuple[str, ...]] = []
    with target.step(*steps.ROWS):
        path = str(located.path if located else "")
        for done in rows_again(target.site, manifest, path, trust=target.trust):
            for table in done.plan.tables:
                rows.append((table.name, str(table.missing), str(len(table.inserts))))
            if done.exit_code:
                target.run.deviation(f"not all rows of {done.plan.table} came back")
        left = lacking(target.site, manifest).tables
        target.run.check("missing rows", not left, f"still missing in: {', '.join(left) or '-'}")
    return Table("Rows brought back", ("table", "missing", "brought back"), tuple(rows))


def clone_code(target: Target) -> Table:
    """Archon's repository, at the commit that is asked for."""
    url = steps.repository_of(target.case)
    if not url:
        return _left_out("Code")
    with target.step(*steps.CODE):
        done = checkout.check_out(url, target.wishes.commit, target.code)
        target.run.fact("archon_commit", done.commit)
    what = "cloned" if done.cloned else "was there already"
    return facts("Code", ("Folder", done.folder), ("Commit", done.commit), ("Repository", what))


def prepare_environment(target: Target) -> Table:
    """The .env, and what a person has to put into it.

    Raises:
        PreconditionError: live, names are still empty: Archon would not work without them.
    """
    if not (target.code / ".env.example").is_file():
        return _left_out(".env")
    with target.step(*steps.ENVIRONMENT):
        done = environment.prepare(target.code, target.site.run_id)
        target.run.fact("environment_names_empty", list(done.empty))
        if done.empty and target.live:
            raise PreconditionError(
                f"{done.file} still lacks {', '.join(done.empty)}",
                "fill them in from the password manager, then go on with: inv recover",
            )
    made = "made from .env.example, 0600" if done.made else "was there already"
    empty = ", ".join(done.empty) or "none"
    return facts(".env", ("File", made), ("To be filled in from the password manager", empty))


def retry_migration(target: Target) -> Table:
    """The corrected migration; without a file Archon applies its own when it starts."""
    if not steps.migrates(target.case):
        return _left_out("Migration")
    file = Path(target.wishes.migration) if target.wishes.migration else target.migration
    with target.step(*steps.RETRY):
        before = migration.recorded_in(target.site)
        if file is not None:
            migration.apply(target.site, file)
        after = migration.recorded_in(target.site)
        if target.stage is not None:
            fresh = [name for name in after if name not in before]
            named = [name for name in fresh if name.endswith(f"/{disasters.MIGRATION}")]
            target.run.check("migration", bool(named), f"recorded since: {', '.join(fresh) or '-'}")
    what = file.name if file else "left to Archon: it applies its migrations when it starts"
    newest = after[-1] if after else "none"
    return facts("Migration", ("Applied", what), ("Newest in archon_migrations", newest))


def start_services(target: Target) -> Table:
    """Archon's containers through compose, until they are healthy."""
    if not target.has_services:
        return _left_out("Services")
    with target.step(*steps.START):
        verdicts = containers.recreate(target.site)
    rows = tuple((v.name, "well" if v.well else "NOT WELL", v.why) for v in verdicts)
    return Table("Services", ("service", "", "seen"), rows)


def verify(target: Target) -> tuple[Table, ...]:
    """Whether all is back: content against the manifest, services, log and API."""
    with target.step(*steps.VERIFY):
        tables = [_services_verified(target), _content_verified(target)]
        if target.scenario is MIGRATION:
            tables.append(_log_read(target))
    return tuple(table for table in tables if table)


def _services_verified(target: Target) -> Table | None:
    """Every service exists and is well; in a sandbox, every one that was so before."""
    if not target.has_services:
        return None
    from archon_ops.services.health import wait_until_well

    names = containers.expected(target.site)
    rows = []
    for verdict in wait_until_well(target.site.engine, names, 0):
        if target.live or verdict.name in target.healthy_before:
            target.run.check(f"service {verdict.name}", verdict.well, verdict.why)
        rows.append((verdict.name, "well" if verdict.well else "NOT WELL", verdict.why))
    if target.live and (url := target.site.source.archon_url):
        answer = api.ask(url)
        rows.append((answer.url, "", str(answer.status or answer.error)))
    return Table("Services", ("service", "", "seen"), tuple(rows))


def _content_verified(target: Target) -> Table:
    """Live: that the database answers. In a drill everything once more, from the outside."""
    if target.live:
        with target.site.server() as server, server.connect(target.site.database) as connection:
            rows = tuple((name, str(count)) for name, count in counts(connection).items())
        target.run.check("database answers", bool(rows), f"{len(rows)} Archon tables")
        return Table("Rows", ("table", "rows"), rows)
    kept = disasters.later_rows(target.site)
    expected = 0 if target.case.full else 1
    disasters.take_back(target.sandbox)
    with target.site.server() as server:
        proof = _proof(target, server)
    describe.proof(target.run, proof)
    text = f"{kept} of 1 row that was written after the backup is in service, {expected} expected"
    target.run.check("rows since the backup", kept == expected, text)
    tables = tuple(
        (t.table, str(t.rows_expected), str(t.rows_found), "equal" if t.equal else "DIFFERS")
        for t in proof.tables
    )
    return Table("Proof", ("table", "rows expected", "rows found", "content"), tables, text)


def controls(target: Target) -> Table:
    """In a drill: damage the copy on purpose; a proof that passes over it proves nothing."""
    located = target.located
    if target.live or located is None:
        return facts("Negative controls", ("Live", "nothing is damaged here"))
    with target.run.step(*steps.CONTROLS), target.site.server() as server:
        if undo.listed(target.site):  # damage done to what is kept would change nothing in service
            undo.finalize(target.site.for_next_run(), lambda *_: None)
        database = target.sandbox.site.database
        prove_again = partial(_proof, target, server)
        return negative_controls(target.run, located, server, database, prove_again)


def _proof(target: Target, server: Server) -> Proof:
    """The target's database against the manifest."""
    manifest, site = _manifest(target), target.site
    questions = questions_for(site, manifest)
    there = found(server, site.database, site.settings.deadlines, questions=questions)
    return prove(manifest, there, None)


def _log_read(target: Target) -> Table:
    """What archon-server's log says of the migration."""
    if not target.has_services:
        return facts("Log", ("archon-server", "the source names no services"))
    seen = migration.in_log(target.site)
    good = bool(seen.lines) and not seen.failed
    target.run.check("migration in the log", good, "; ".join(seen.lines[-3:]) or "not a word")
    return Table(f"Log of {seen.container}", ("line",), tuple((line,) for line in seen.lines))


def _manifest(target: Target) -> Manifest:
    if target.located is None:
        raise PreconditionError("there is no backup yet", "run the cells in order")
    return describe.manifest_of(target.located)


def _left_out(title: str) -> Table:
    return facts(title, ("Left out", "the plan says why"))
