"""Guided recovery from an incident."""

from __future__ import annotations

from typing import TYPE_CHECKING

from archon_ops.cli.command import Run, command
from archon_ops.errors import ExitCode, PreconditionError, UsageError

if TYPE_CHECKING:
    from archon_ops.actions.recovery.signs import Seen
    from archon_ops.model.scenario import Fit
    from archon_ops.runbook.incident import Incident
    from archon_ops.site import Site

_BY_FLAG = (
    "nothing that can be seen fits a scenario; inv recover --scenario N takes one all the same"
)


@command(
    help={
        "scenario": "1 system loss, 2 corruption, 3 containers, 4 deletion, 5 migration",
        "p": "a parameter of the scenario's runbook, as key=value",
        "dry_run": "say what fits and what would be done, and change nothing",
    }
)
def recover(
    run: Run,
    scenario: int | None = None,
    p: tuple[str, ...] = (),
    dry_run: bool = False,
    yes: bool = False,
) -> ExitCode:
    """Look at what is wrong, say which scenario fits, and on confirmation mend the real thing."""
    from archon_ops.cli.shared import site_of
    from archon_ops.cli.verdict import told, trigger
    from archon_ops.runbook.incident import seen_of
    from archon_ops.runbook.run import run as action

    site = site_of(run)
    run.console.banner("Recovery", site.display_name)
    run.console.phase("recover.look", "Looking at what is wrong")
    seen = seen_of(site)
    fit = _fit(run, seen, scenario)
    found = _incident(site, seen, fit, p)
    if dry_run:
        if run.options.json:
            run.console.json({"dry_run": True, **found.document()})
        else:
            run.console.data(f"{found.text()}\n")
        return ExitCode.DONE
    run.console.confirm(found.target, found.text())
    ran = action(site, fit.scenario.runbook, found.parameters, trigger=f"inv recover, {trigger()}")
    told(run, ran)
    return ran.verdict.exit_code


def _fit(run: Run, seen: Seen, number: int | None) -> Fit:
    """The scenario that was asked for, that fits, or that a person's answers mean."""
    from archon_ops.model.scenario import QUESTIONS, Fit, by_number, fitting

    fits = fitting(seen.signs)
    if number is not None:
        asked = by_number(number)
        if asked is None:
            raise UsageError(f"there is no scenario {number}", "1 to 5: inv recover --help")
        same = fits is not None and fits.scenario is asked
        return fits if fits and same else Fit(asked, ("it was asked for (--scenario)",))
    if fits is not None:
        return fits
    if seen.signs.silent:
        why, mend = seen.signs.silent
        raise PreconditionError(f"nothing is lost as far as can be seen, but {why}", mend)
    run.console.info("nothing that can be seen from here speaks for one of the five scenarios")
    for question in QUESTIONS:
        if run.console.ask(question.text, _BY_FLAG):
            return Fit(question.scenario, (f"you said yes to: {question.text}",))
    raise PreconditionError(
        "none of the five scenarios fits: there is nothing to recover from",
        "inv doctor looks for what else is wrong",
    )


def _incident(site: Site, seen: Seen, fit: Fit, given: tuple[str, ...]) -> Incident:
    from archon_ops.runbook import parameters, templates
    from archon_ops.runbook.incident import incident
    from archon_ops.runbook.steps import Wishes

    known = templates.find(site.settings, fit.scenario.runbook).parameters
    values = parameters.parsed(given, known)
    if ours := {"source", "mode", "confirm"} & values.keys():
        raise UsageError(f"{sorted(ours)[0]} is no parameter of a recovery", "leave it out")
    return incident(site, seen, fit, Wishes(**values))
