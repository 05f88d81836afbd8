"""Plan a rescue, and carry it out."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from archon_ops.actions.part import Part, opened_part
from archon_ops.actions.recording import Recording, recorded
from archon_ops.actions.rescue.planfile import write_plan
from archon_ops.actions.rescue.planning import Request, make_plan
from archon_ops.actions.rescue.writing import write
from archon_ops.errors import ExitCode, PreconditionError
from archon_ops.model.plan import target_of
from archon_ops.model.rescue import RescuePlan, RescueProof
from archon_ops.postgres import facts
from archon_ops.postgres.server import Server
from archon_ops.site import Site
from archon_ops.storage.reference import resolve

Confirm = Callable[[RescuePlan], None]


@dataclass(frozen=True)
class Rescued:
    """A rescue that was done.

    Attributes:
        plan: what was planned.
        proof: what was proven before it was committed.
        seconds: duration from the confirmation on.
        exit_code: DONE, or INCONCLUSIVE where not all came back, or not all could be proven.
    """

    plan: RescuePlan
    proof: RescueProof
    seconds: float
    exit_code: ExitCode


def plan(site: Site, request: Request) -> RescuePlan:
    """Compare, write the plan to a file, and change nothing in the database."""
    with recorded(site, "rescue") as run, _planned(run, request) as (_, _, made):
        run.details.update({"dry_run": True, "backup": made.backup, "plan": made.file})
        return made


def rescue(site: Site, request: Request, confirm: Confirm) -> Rescued:
    """Plan, let it be confirmed, and bring the rows back.

    Args:
        site: where.
        request: what is asked for.
        confirm: shown the plan before anything is changed; raises to stop.

    Raises:
        OpsError: it failed; the live database is as it was.
    """
    with recorded(site, "rescue") as run, _planned(run, request) as (server, part, made):
        return _carry_out(run, server, part, made, confirm)


def apply(
    site: Site, made: RescuePlan, confirm: Confirm, *, reference: str | None = None
) -> Rescued:
    """Carry out a plan that was made before; the rows of it that were left in.

    Args:
        site: where.
        made: the plan, as `plan` answered it or `read_plan` read it.
        confirm: shown the plan before anything is changed; raises to stop.
        reference: the backup, where it is not any more what the plan says; its bytes are the same.

    Raises:
        PreconditionError: what it was made of has changed since.
        OpsError: it failed; the live database is as it was.
    """
    with recorded(site, "rescue") as run:
        located = resolve(site.directory, reference or made.path)
        with run.site.server() as server:
            _require_target(run.site, server, made)
            with opened_part(run.site, located) as part:
                if part.manifest.sha256 != made.sha256:
                    raise PreconditionError(
                        f"{located.backup.name} is not the backup that the plan was made of",
                        f"inv rescue {made.backup} --plan {made.file}",
                    )
                part.load((t.schema, t.table) for t in made.tables if t.rows)
                return _carry_out(run, server, part, made, confirm)


@contextlib.contextmanager
def _planned(run: Recording, request: Request) -> Iterator[tuple[Server, Part, RescuePlan]]:
    """A plan with everything that it was made of."""
    site = run.site
    run.details["table"] = ".".join(request.name)  # what is no name is told before all else
    located = resolve(site.directory, request.reference)
    with site.server() as server, opened_part(site, located) as part:
        with server.connect(site.database) as live:
            made = make_plan(site, server, live, part, request)
        yield server, part, write_plan(site, made)


def _carry_out(
    run: Recording, server: Server, part: Part, made: RescuePlan, confirm: Confirm
) -> Rescued:
    confirm(made)
    began = time.monotonic()
    if made.rows:
        with server.connect(run.site.database) as live:
            proof = write(run.site, live, part, made)
    else:
        proof = RescueProof((), ())
    complete = not (made.incomplete or proof.not_proven)
    run.exit_code = ExitCode.DONE if complete else ExitCode.INCONCLUSIVE
    run.details.update({"backup": made.backup, "table": made.table, "plan": made.file})
    tables = proof.tables  # none where all was there already
    run.details["inserted"] = sum(t.inserted for t in tables)
    run.details["updated"] = sum(t.updated for t in tables)
    return Rescued(made, proof, time.monotonic() - began, run.exit_code)


def _require_target(site: Site, server: Server, made: RescuePlan) -> None:
    with server.connect(site.database) as live:
        target = target_of(site.name, server.host, site.database, facts.system_identifier(live))
    if target != made.target:
        raise PreconditionError(
            f"the plan is for {made.target}, this is {target}",
            "make a new plan: run inv rescue again, without --plan",
        )
