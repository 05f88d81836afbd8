"""What a scenario's notebook works on: a sandbox that was ruined, or the real thing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archon_ops.actions.recovery import containers
from archon_ops.actions.restore import Request
from archon_ops.errors import OpsError, UsageError
from archon_ops.model.plan import target_of
from archon_ops.model.scenario import CORRUPTION, Scenario, by_runbook
from archon_ops.postgres import databases, facts
from archon_ops.postgres.direct import parse_dsn
from archon_ops.rig.stage import Stage
from archon_ops.runbook.session import Session
from archon_ops.runbook.steps import Case, Wishes
from archon_ops.site import Site
from archon_ops.storage.reference import Located

# Where the identifier of a server stands in a target's name, when there is no server any more.
GONE = "gone"


@dataclass
class Target:
    """One recovery; it learns as its cells run.

    Attributes:
        run: the session.
        case: which disaster of which source.
        site: what is recovered: the source itself, or a sandbox once that is made.
        spelled: the real target as a person has to confirm it.
        located: the backup; None where none is needed.
        stage: the sandbox; None in live mode, and before it is made.
        ruined: whether the sandbox's disaster has happened.
        healthy_before: the sandbox's services that were well before it.
        migration: file of the corrected migration; None where there is none.
    """

    run: Session
    case: Case
    site: Site
    spelled: str
    located: Located | None = None
    stage: Stage | None = None
    ruined: bool = False
    healthy_before: frozenset[str] = field(default_factory=frozenset)
    migration: Path | None = None

    @property
    def scenario(self) -> Scenario:
        """Which disaster."""
        return self.case.scenario

    @property
    def wishes(self) -> Wishes:
        """What was said beforehand."""
        return self.case.wishes

    @property
    def live(self) -> bool:
        """Whether the real target is changed."""
        return self.case.live

    @property
    def has_services(self) -> bool:
        """Whether there are containers of Archon's to be stopped and made again."""
        return containers.has_services(self.site)

    @property
    def sandbox(self) -> Stage:
        """The sandbox of a drill.

        Raises:
            OpsError: there is none yet; a drill changes nothing else.
        """
        if self.stage is None:
            raise OpsError("there is no sandbox yet", "run the cells in order")
        return self.stage

    @property
    def code(self) -> Path:
        """Where Archon's code belongs."""
        home = self.site.settings.home(self.site.name)
        return self.stage.folder / "checkout" if self.stage else home

    @property
    def trust(self) -> bool:
        """Whether the backup may be another server's, as it always is for a sandbox."""
        return self.wishes.trust or not self.live

    def request(self, path: str) -> Request:
        """What a restore is asked for: Archon's objects, or everything into a new home.

        Nobody confirms a recovery from corruption but in order to let go of what cannot be read; it
        is kept all the same.
        """
        return Request(path, trust=self.trust, accept_unreadable=self.scenario is CORRUPTION)

    def guard(self) -> None:
        """Let a destructive step go on: on a sandbox always, on the real target if confirmed.

        Raises:
            OpsError: it was not, or there is no sandbox; nothing was changed.
        """
        if self.live:
            self.run.require_confirmed(self.spelled)
        else:
            _ = self.sandbox

    @contextlib.contextmanager
    def step(self, name: str, title: str) -> Iterator[None]:
        """One step of the recovery; what fails after a drill's disaster makes the drill a FAIL."""
        self.guard()
        try:
            with self.run.step(name, title, recovery=True):
                yield
        except OpsError as error:
            if self.ruined:
                self.run.check(title, False, error.message)
            raise


def aim(run: Session, **wishes: Any) -> Target:
    """The target of a scenario's notebook.

    Args:
        run: the session.
        wishes: fields of `Wishes`.

    Raises:
        UsageError: the notebook is about no scenario.
    """
    scenario = by_runbook(run.ticket.runbook)
    if scenario is None:
        raise UsageError(f"the runbook {run.ticket.runbook} is about none of the five scenarios")
    case = Case(run.site, scenario, Wishes(**wishes), run.live)
    return Target(run, case, run.site, spelled(run.site))


def spelled(site: Site) -> str:
    """The source's target as a plan spells it, also when its server is gone."""
    try:
        with site.server() as server, server.connect(databases.MAINTENANCE) as connection:
            identifier = facts.system_identifier(connection)
            return target_of(site.name, server.host, site.database, identifier)
    except OpsError:
        return target_of(site.name, _host(site), site.database, GONE)


def _host(site: Site) -> str:
    if site.source.kind == "direct":
        return parse_dsn(site.source.dsn.get_secret_value()).get("host", "localhost")
    return site.source.container or "localhost"
