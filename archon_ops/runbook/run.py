"""One runbook from its name to its evidence, whatever happens on the way."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from archon_ops.actions.recording import Recording, recorded
from archon_ops.errors import InterruptedByUser, OpsError, UsageError
from archon_ops.model.units import zulu
from archon_ops.model.verdict import Verdict
from archon_ops.postgres import sandbox
from archon_ops.runbook import burrow, hand, keep, parameters, templates
from archon_ops.runbook.execute import Execution
from archon_ops.runbook.journal import Events
from archon_ops.runbook.keep import Kept
from archon_ops.runbook.session import MODES
from archon_ops.runbook.templates import Template
from archon_ops.runbook.ticket import Ticket
from archon_ops.settings import RUN_FOLDER
from archon_ops.site import Site
from archon_ops.storage.directory import Directory
from archon_ops.storage.folders import ensure_folder
from archon_ops.storage.lock import Lock


def run(site: Site, name: str, given: tuple[str, ...] = (), *, trigger: str) -> Kept:
    """Execute a runbook and keep the evidence.

    Args:
        site: of the source.
        name: of the runbook.
        given: parameters as "key=value".
        trigger: who or what began it, in words.

    Raises:
        UsageError: no such runbook or parameter.
        LockedError: another drill is going on.
        InterruptedByUser: a signal came; there is evidence all the same.
    """
    template = templates.find(site.settings, name)
    values = _values(site, template, given)
    with _one_at_a_time(site, str(values.get("mode", MODES[0]))):
        burrow.sweep()
        keep.leftovers(site)
        with recorded(site, "drill", alone=False) as recording:
            return _run(recording, template, values, trigger)


def run_all(site: Site, *, trigger: str) -> tuple[Kept, ...]:
    """Execute every drill there is, one after the other; see `run`."""
    drills = [t for t in templates.all_templates(site.settings) if t.about.get("kind") == "drill"]
    return tuple(run(site.for_next_run(), t.name, trigger=trigger) for t in drills)


def _values(site: Site, template: Template, given: tuple[str, ...]) -> dict[str, Any]:
    known = {name: value for name, value in template.parameters.items() if name != "source"}
    if any(text.partition("=")[0] == "source" for text in given):
        raise UsageError("the source is not a parameter here", "choose it with --source")
    values = parameters.parsed(given, known)
    if values.get("mode", MODES[0]) not in MODES:
        raise UsageError(f"mode {values['mode']!r} does not exist", f"one of: {', '.join(MODES)}")
    return {**values, **({"source": site.name} if "source" in template.parameters else {})}


@contextlib.contextmanager
def _one_at_a_time(site: Site, mode: str) -> Iterator[None]:
    """Two drills would spoil each other's times; a recovery waits for none."""
    if mode != MODES[0]:
        yield
        return
    ensure_folder(site.settings.state)
    with Lock(Directory(site.settings.state), "drill", site.settings.deadlines.lock):
        yield


def _run(recording: Recording, template: Template, values: dict[str, Any], trigger: str) -> Kept:
    site = recording.site
    ticket = _ticket(site, template, values, trigger)
    folder = hand.new_folder(site.settings, ticket.run_id)
    ticket.write(folder)
    events = Events(folder)
    recording.details["runbook"] = template.name
    if template.state == "changed":
        text = f"the notebook {template.name} is not as archon_ops ships it: it was edited"
        events.add("deviation", text=text)
    interrupted = _executed(site, template, values, folder)
    ran = keep.evidence(site, ticket, template, folder)
    _write_down(recording, ran)
    if interrupted is not None:
        raise interrupted
    return ran


def _ticket(site: Site, template: Template, values: dict[str, Any], trigger: str) -> Ticket:
    return Ticket(
        run_id=site.run_id,
        runbook=template.name,
        source=site.name,
        mode=str(values.get("mode", MODES[0])),
        trigger=trigger,
        started_at=zulu(site.clock()),
        pid=os.getpid(),
        host=socket.gethostname(),
        template=template.digest,
        template_state=template.state,
        parameters=values,
    )


def _executed(
    site: Site, template: Template, values: dict[str, Any], folder: Path
) -> InterruptedByUser | None:
    """Execute the notebook; what went wrong is written down. A signal is the caller's to raise."""
    execution = Execution(template.path, values, folder, {RUN_FOLDER: str(folder)})
    events = Events(folder)
    try:
        execution.run(site.report, keep.mask_of(site), site.settings.deadlines.runbook)
    except InterruptedByUser as error:
        _note(events, error.message, error.hint, error.exit_code)
        return error
    except OpsError as error:
        if not events.trace().failures:  # the kernel knew better, where it could say so
            _note(events, error.message, error.hint, error.exit_code)
    finally:
        _clear(site)
    return None


def _note(events: Events, message: str, hint: str, code: int) -> None:
    events.add("failure", message=message, hint=hint, code=int(code))


def _clear(site: Site) -> None:
    """Remove the sandboxes of a kernel that could not do it itself any more."""
    sandbox.sweep(site.settings.state / "sandboxes")
    if site.source.kind == "container":
        from archon_ops.postgres import container_sandbox

        container_sandbox.remove(site.engine, site.run_id)


def _write_down(recording: Recording, ran: Kept) -> None:
    recording.details["verdict"] = ran.verdict.value
    recording.details["recovery_seconds"] = ran.evidence["objectives"]["recovery_time_seconds"]
    recording.details["evidence"] = str(ran.folder)
    recording.exit_code = ran.verdict.exit_code
    if ran.verdict is Verdict.FAIL:
        recording.reason = "; ".join(ran.evidence["reasons"][:3])
