"""Start and stop Archon's services; before a start, a backup where BACKUP_ON_START asks for one."""

from __future__ import annotations

from dataclasses import dataclass

from archon_ops.actions import backup, verify
from archon_ops.actions.offsite.push import after_backup
from archon_ops.actions.recording import recorded
from archon_ops.errors import ExitCode, OpsError, PreconditionError, UntrustworthyError
from archon_ops.services.containers import Services
from archon_ops.services.health import Verdict
from archon_ops.settings import backup_on_start
from archon_ops.site import Site

LABEL = "pre-start"


@dataclass(frozen=True)
class Started:
    """What a start, or a stop, did.

    Attributes:
        backup: name of the backup taken before; None where none was asked for.
        services: how each service is now.
    """

    backup: str | None
    services: tuple[Verdict, ...]

    @property
    def exit_code(self) -> ExitCode:
        """DONE when all are as they should be."""
        return ExitCode.DONE if all(v.well for v in self.services) else ExitCode.FAILED


def start(site: Site, *, skip_backup: bool = False) -> Started:
    """Start all services of the source and wait until they are well.

    Args:
        site: whose services.
        skip_backup: start even without the backup that BACKUP_ON_START asks for.

    Raises:
        PreconditionError: the backup could not be taken, or did not verify: nothing was started.
    """
    services = site.services()
    known = _known(site, services)
    taken = None
    if backup_on_start(site.settings.home(site.name)):
        if skip_backup:
            site.report.warn("BACKUP_ON_START is set, and --skip-backup leaves that backup out")
        else:
            taken = _backup_first(site)
            _push(site, taken)
    with recorded(site.for_next_run(), "start") as run:
        run.site.report.phase("start.services", "Starting services")
        verdicts = services.start(known, run.site.report)
        run.details["services"] = {v.name: v.well for v in verdicts}
        done = Started(taken, verdicts)
        run.exit_code = done.exit_code
        return done


def stop(site: Site) -> Started:
    """Stop all services of the source that run."""
    services = site.services()
    _known(site, services)
    with recorded(site, "stop") as run:
        run.site.report.phase("stop.services", "Stopping services")
        services.stop(tuple(c for c in services.existing() if c.running), run.site.report)
        left = tuple(Verdict(c.name, not c.running, f"is {c.status}") for c in services.existing())
        done = Started(None, left)
        run.exit_code = done.exit_code
        return done


def _known(site: Site, services: Services) -> tuple[str, ...]:
    names = tuple(container.name for container in services.existing())
    if not names:
        wanted = ", ".join(services.names) or "none are configured"
        raise PreconditionError(
            f"no container of Archon's services exists ({wanted})",
            "docker compose up -d in Archon's folder creates them",
        )
    for missing in sorted(set(services.names) - set(names)):
        site.report.warn(f"container {missing} does not exist")
    return names


def _push(site: Site, name: str) -> None:
    """Copy it where the settings say so; a place that fails keeps nobody from starting."""
    try:
        after_backup(site, name, asked=False)
    except OpsError as error:
        site.report.warn(f"{error.message} ({error.hint})" if error.hint else error.message)


def _backup_first(site: Site) -> str:
    """A backup that is taken and then verified; what fails here starts nothing."""
    try:
        taken = backup.backup(site, backup.Request(label=LABEL))
        (result,) = verify.verify(site.for_next_run(), taken.path.name)
        if result.exit_code != ExitCode.DONE:
            raise UntrustworthyError("; ".join((*result.problems, *result.not_proven)))
    except OpsError as error:
        raise PreconditionError(
            f"nothing was started: the backup before the start failed: {error.message}",
            f"{error.hint}; or start without it: inv start --skip-backup".lstrip("; "),
        ) from error
    return taken.path.name
