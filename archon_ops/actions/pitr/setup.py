"""Set a source up for point-in-time recovery: plan -> show -> apply."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from archon_ops.actions.pitr.examine import asked, ca_files, examined
from archon_ops.actions.pitr.reach import Reached, reached
from archon_ops.actions.quiet import services_stopped, with_services
from archon_ops.actions.recording import Recording, recorded
from archon_ops.errors import OpsError, PreconditionError
from archon_ops.model.pitr.config import fitting, render
from archon_ops.model.pitr.plan import SetupPlan
from archon_ops.model.report import Silent
from archon_ops.postgres.pitr.pgbackrest import InContainer
from archon_ops.postgres.server import Server
from archon_ops.site import Site
from archon_ops.storage.atomic import write_atomic
from archon_ops.storage.folders import ensure_folder

ACTION = "pitr-setup"
_CHECK_SECONDS = 180.0
# PostgreSQL writes all that is in its memory before it ends.
_STOP_SECONDS = 120


def plan(site: Site, *, replace: bool = False, upgrade: bool = False) -> SetupPlan:
    """What would be done, and nothing else.

    Raises:
        OpsError: it cannot be done at all.
    """
    with reached(site) as at:
        return examined(site, at, replace=replace, upgrade=upgrade)


def setup(
    site: Site,
    confirm: Callable[[SetupPlan], None],
    *,
    replace: bool = False,
    upgrade: bool = False,
) -> SetupPlan:
    """Carry it out; what is in place already is left as it is, and checked.

    Args:
        site: the source.
        confirm: is shown the plan, and raises where it is not to be done.
        replace: whether another way of archiving is given up.
        upgrade: whether the stanza follows an upgrade of the server.

    Raises:
        PreconditionError: something is lacking, or the check failed; says what to do.
    """
    with recorded(site, ACTION) as run:
        site = run.site
        site.report.phase("pitr.examine", "What is there")
        with reached(site) as at:
            planned = examined(site, at, replace=replace, upgrade=upgrade)
            if planned.lacking:
                raise _not_yet(site, planned)
            if not planned.nothing_to_do:
                confirm(planned)
            _configure(site, at, planned)
            _set(site, at, planned)
        if planned.restarts:
            _restart(run)
        with reached(site) as at:
            _check(site, at)
        run.details["stanza"] = planned.stanza
        run.exit_code = with_services(run.details, run.exit_code)
        return planned


def _not_yet(site: Site, planned: SetupPlan) -> PreconditionError:
    """Write what mends it, and say what is to be typed."""
    for name, text in planned.files.items():
        path = Path(name)
        for folder in (site.settings.state, path.parent.parent, path.parent):
            ensure_folder(folder)
        write_atomic(path, text.encode(), site.run_id, overwrite=True)
        site.report.ok(f"written: {path}")
    for line in planned.lacking[1:]:
        site.report.warn(line)
    return PreconditionError(planned.lacking[0], "; then ".join(planned.commands))


def _configure(site: Site, at: Reached, planned: SetupPlan) -> None:
    """The configuration, and the stanza: until here the server itself is as it was."""
    host = at.backrest.host
    if planned.config_changes:
        site.report.step("pitr.config", f"Writing {planned.config}")
        for path, data in ca_files(site).items():
            host.write(path, data, mode=0o644)
        text = render(fitting(at.config, planned.backrest_version))
        host.write(planned.config, text.encode())
        site.report.ok(f"{planned.config} written (0600)")
    site.report.step("pitr.stanza", f"Stanza {planned.stanza}")
    at.backrest.run(
        "stanza-upgrade" if planned.upgrade else "stanza-create", timeout=_CHECK_SECONDS
    )
    site.report.ok(f"stanza {planned.stanza} is in every repository")


def _set(site: Site, at: Reached, planned: SetupPlan) -> None:
    """The server's settings; those that need no restart hold at once."""
    if not planned.changes:
        return
    site.report.step("pitr.settings", "Settings of the server")
    lines = "; ".join(change.line for change in planned.changes)
    try:
        asked(at).ask(*(c.statement for c in planned.changes), "SELECT pg_catalog.pg_reload_conf()")
    except OpsError as error:
        raise PreconditionError(
            f"role {at.config.user} may not change the server: {error.message}",
            f"put into its postgresql.conf: {lines}; restart it; then inv pitr.setup",
        ) from error
    for change in planned.changes:
        site.report.ok(change.line)
    if planned.restarts and not isinstance(at.backrest.host, InContainer):
        raise PreconditionError(
            "the server has to be restarted before it archives",
            "systemctl restart postgresql (as it is started here); then inv pitr.setup",
        )


def _restart(run: Recording) -> None:
    """Restart the database's container, with Archon's services stopped around it."""
    from archon_ops.postgres.container import locate
    from archon_ops.postgres.container_sandbox import wait_until_ready

    site = run.site
    quiet = site.reporting_to(Silent())  # that it does not answer yet is no news

    def opened() -> AbstractContextManager[Server]:
        return quiet.server()

    with services_stopped(site, run.details):
        engine = site.engine
        container = locate(engine, site.source.container)
        site.report.step("pitr.restart", f"Restarting container {container.name}")
        engine.stop(container.id, _STOP_SECONDS)
        engine.start(container.id)
        wait_until_ready(opened)
        site.report.ok(f"container {container.name} is back")


def _check(site: Site, at: Reached) -> None:
    site.report.step("pitr.check", "A WAL segment on its way into every repository")
    at.backrest.run("check", timeout=_CHECK_SECONDS)
    site.report.ok("WAL arrives in the repositories")
