"""A running runbook, as its cells see it: plan, steps, checks, and an end in any case."""

from __future__ import annotations

import contextlib
import os
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

from archon_ops.errors import ExitCode, InterruptedByUser, OpsError, PreconditionError
from archon_ops.model.shown import Table, facts
from archon_ops.model.verdict import Verdict, judged
from archon_ops.runbook.evidence import objectives
from archon_ops.runbook.holding import hold_at
from archon_ops.runbook.journal import Events
from archon_ops.runbook.ticket import BY_HAND, Ticket
from archon_ops.site import Site

MODES = ("drill", "live")
_Held = TypeVar("_Held")


class Session:
    """One run of a runbook.

    Args:
        site: of the source; its report writes events.
        ticket: which run it is.
        events: where it is written down.
        confirm: the target that the person confirmed, for live mode.

    Attributes:
        live: whether the real target is changed; a drill only ever reads it.
    """

    def __init__(self, site: Site, ticket: Ticket, events: Events, confirm: str) -> None:
        self.site = site
        self.ticket = ticket
        self.live = ticket.mode == "live"
        self._events = events
        self._confirm = confirm
        self._held = contextlib.ExitStack()
        self._told: BaseException | None = None

    def plan(self, *steps: tuple[str, str]) -> Table:
        """Say which steps there will be (name, title): one that then does not run is missed."""
        self._events.add("plan", steps=dict(steps))
        rows = tuple((str(number), title) for number, (_, title) in enumerate(steps, 1))
        return Table("Plan", ("", "step"), rows)

    @contextlib.contextmanager
    def step(self, name: str, title: str, *, recovery: bool = False) -> Iterator[None]:
        """Run a block as a step; it is timed, and its error is written down.

        Args:
            name: stable, as in the plan.
            title: for people.
            recovery: whether its time counts as recovery time.
        """
        self._events.add("begin", name=name, title=title, recovery=recovery)
        began = time.monotonic()
        try:
            hold_at(name)
            yield
        except BaseException as error:
            self._end(name, began, "failed")
            self.failed(error)
            raise
        self._end(name, began, "done")

    def _end(self, name: str, began: float, outcome: str) -> None:
        seconds = round(time.monotonic() - began, 3)
        self._events.add("end", name=name, seconds=seconds, outcome=outcome)

    def check(self, name: str, passed: bool, found: str) -> None:
        """Write down something that had to hold; one that does not makes the run a FAIL."""
        self._events.add("check", name=name, passed=passed, found=found)

    def control(self, name: str, damage: str, noticed: bool | None, found: str) -> None:
        """Write down a damage done on purpose (archon_ops.model.trace.Control)."""
        self._events.add("control", name=name, damage=damage, noticed=noticed, found=found)

    def not_covered(self, text: str) -> None:
        """Write down what is known beforehand not to apply."""
        self._events.add("not_covered", text=text)

    def deviation(self, text: str) -> None:
        """Write down what goes otherwise than planned; the run cannot be a PASS any more."""
        self._events.add("deviation", text=text)
        self.site.report.warn(text)

    def fact(self, name: str, value: Any) -> None:
        """Put something of JSON types into the evidence under a name."""
        self._events.add("fact", name=name, value=value)

    def hold(self, context: AbstractContextManager[_Held]) -> _Held:
        """Enter a context that lasts over cells; it is left at the end, however that comes."""
        return self._held.enter_context(context)

    def require_confirmed(self, target: str) -> None:
        """Let a destructive cell go on only if the person named its very target.

        Raises:
            PreconditionError: they did not; nothing was changed.
        """
        if self._confirm != target:
            raise PreconditionError(
                f"{target} is changed only when it is confirmed, and {self._confirm!r} was",
                f"give confirm={target}",
            )

    def failed(self, error: BaseException) -> None:
        """Write an error down, once however many blocks it passes through."""
        if error is self._told:
            return
        self._told = error
        message, hint, code = _explained(error)
        self._events.add("failure", message=message, hint=hint, code=code)

    def finish(self) -> Table:
        """Tear down what is held, and judge; the last step of every notebook."""
        self.close()
        self._events.add("closed")
        if self.ticket.trigger == BY_HAND:
            from archon_ops.runbook import keep

            kept = keep.evidence(self.site, self.ticket, None, self._events.path.parent)
            return _verdict_table(kept.verdict, kept.evidence["reasons"], kept.folder)
        judgement = judged(self._events.trace(), objectives(self.site.settings))
        return _verdict_table(judgement.verdict, judgement.reasons)

    def close(self) -> None:
        """Tear down what is held; nothing happens the second time."""
        self._held.close()

    def shown(self) -> tuple[Table, ...]:
        """What the run works on."""
        table = facts(
            f"Run {self.ticket.run_id}",
            ("Runbook", self.ticket.runbook),
            ("Mode", "live: the real target is changed" if self.live else "drill: it is only read"),
            ("Source", f"{self.site.display_name} ({self.site.name})"),
            ("Backups", self.site.directory.path),
            ("Started", self.ticket.started_at),
        )
        return (table,)


def _verdict_table(verdict: Verdict, reasons: Iterable[str], evidence: Path | None = None) -> Table:
    where = (("evidence", str(evidence)),) if evidence else ()
    rows = tuple(("why", reason) for reason in reasons)
    return Table("Verdict", (), (("verdict", verdict.value), *rows, *where))


def _explained(error: BaseException) -> tuple[str, str, int]:
    """What went wrong, what to do, and which exit code that is."""
    if isinstance(error, OpsError | InterruptedByUser):
        return error.message, error.hint, int(error.exit_code)
    if isinstance(error, KeyboardInterrupt):
        return "it was interrupted", "", int(ExitCode.INTERRUPTED)
    where = traceback.extract_tb(error.__traceback__)[-1:]
    line = f" ({os.path.basename(where[0].filename)}:{where[0].lineno})" if where else ""  # noqa: PTH119 - for people
    text = f"this is a bug: {type(error).__name__}: {' '.join(str(error).split())}{line}"
    return text, "report it, with the evidence", int(ExitCode.FAILED)
