"""Making a run's folder of evidence: masked, whole or not at all, and for dead runs as well."""

from __future__ import annotations

import json
import shutil
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from archon_ops.actions.secrecy import every_secret
from archon_ops.errors import ExitCode, OpsError
from archon_ops.model.masking import Mask
from archon_ops.model.runs import RunRecord
from archon_ops.model.verdict import Verdict, judged
from archon_ops.runbook import evidence as documents
from archon_ops.runbook import page as pages
from archon_ops.runbook import templates
from archon_ops.runbook import ticket as tickets
from archon_ops.runbook.execute import EXECUTED
from archon_ops.runbook.journal import NAME as EVENTS
from archon_ops.runbook.journal import Events
from archon_ops.runbook.seal import Head, remember, seal, sealing
from archon_ops.runbook.templates import Template
from archon_ops.runbook.ticket import Ticket
from archon_ops.site import Site
from archon_ops.storage.alive import is_alive
from archon_ops.storage.atomic import write_atomic
from archon_ops.storage.explain import explained
from archon_ops.storage.folders import ensure_folder, fsync_folder

REPORTS = "reports"
NOTEBOOK, PAGE, DOCUMENT, SUMMARY = "notebook.ipynb", "report.html", "evidence.json", "summary.md"
_MAKING = ".making-"


@dataclass(frozen=True)
class Kept:
    """A run whose evidence is kept.

    Attributes:
        folder: where it lies.
        evidence: the same as a document.
        verdict: what the run proved.
        head: the chain's head, with this run as its end.
    """

    folder: Path
    evidence: dict[str, Any]
    verdict: Verdict
    head: Head


def reports(site: Site) -> Path:
    """Where the folders of evidence lie."""
    return site.settings.root / REPORTS


def evidence(site: Site, ticket: Ticket, template: Template | None, work: Path) -> Kept:
    """Make the evidence of a run that has ended, and clear its work folder away.

    Args:
        site: of its source.
        ticket: which run.
        template: its notebook, where there still is one.
        work: the folder in which it wrote down what it did.

    Raises:
        PreconditionError: no space is left, or a folder refuses.
    """
    trace = Events(work).trace()
    judgement = judged(trace, documents.objectives(site.settings))
    mask = mask_of(site)
    found = mask.document(
        documents.document(ticket, template, trace, judgement, site.settings, site.clock())
    )
    files = _files(mask, found, work)
    folder, head = _published(site, ticket, files)
    shutil.rmtree(work)
    return Kept(folder, found, judgement.verdict, head)


def mask_of(site: Site) -> Mask:
    """What takes every secret out that a run could have come across."""
    return Mask(every_secret(site, _containers(site)))


def _files(mask: Mask, found: dict[str, Any], work: Path) -> dict[str, bytes]:
    """Every file of the evidence by its name."""
    files = {
        DOCUMENT: _json(found),
        SUMMARY: documents.summary(found).encode(),
        EVENTS: b"".join(
            json.dumps(mask.document(e)).encode() + b"\n"
            for e in Events(work).fresh()
            if e["kind"] != "progress"
        ),
    }
    notebook = _executed(mask, work)
    if notebook is not None:
        files[NOTEBOOK] = _json(notebook)
    files[PAGE] = pages.page(notebook, found).encode()
    return files


def _executed(mask: Mask, work: Path) -> dict[str, Any] | None:
    """The executed notebook without secrets; None where the kernel was never started."""
    path = work / EXECUTED
    if not path.exists():
        return None
    with explained("read", path):
        notebook: dict[str, Any] = mask.document(json.loads(path.read_bytes()))
    about = notebook["metadata"].get("papermill", {})
    for name in ("input_path", "output_path"):  # of temporary files, and of somebody's home
        about.pop(name, None)
    return notebook


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _containers(site: Site) -> Any:
    """Those whose environment a run may have seen."""
    if site.source.kind != "container":
        return ()
    try:
        return site.engine.containers()
    except OpsError:  # no engine, nothing seen
        return ()


def _published(site: Site, ticket: Ticket, files: dict[str, bytes]) -> tuple[Path, Head]:
    """Write and seal everything under a hidden name, then give the folder its own."""
    place, state = reports(site), site.settings.state
    making, final = place / f"{_MAKING}{ticket.run_id}", place / _name(ticket)
    for folder in (place, making):
        ensure_folder(folder)
    try:
        for name, data in files.items():
            write_atomic(making / name, data, ticket.run_id, overwrite=True)
        with sealing(state):
            head = seal(making, final, state, ticket.run_id)
            with explained("name", final):
                making.rename(final)
                fsync_folder(place)
            remember(head, state, ticket.run_id)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise
    return final, head


def _name(ticket: Ticket) -> str:
    """`20251217T022448Z-drill`; the end of the run's id keeps two of one second apart."""
    stamp, _, end = ticket.run_id.partition("-")
    return f"{stamp}-{ticket.runbook}-{end}"


def leftovers(site: Site) -> None:
    """Make evidence of runs whose process died before it could do so."""
    for work in sorted((site.settings.state / "runs").glob("*")):
        ticket = tickets.read(work)
        if ticket is None or _alive(ticket):
            continue
        text = "the process that executed it vanished"
        Events(work).add("failure", message=text, hint="", code=int(ExitCode.INCONCLUSIVE))
        folder = evidence(site, ticket, _template(site, ticket), work).folder
        site.report.info(f"a killed run left no evidence, so it was made: {folder.name}")
    for folder in reports(site).glob(f"{_MAKING}*"):
        if not (site.settings.state / "runs" / folder.name.removeprefix(_MAKING)).exists():
            shutil.rmtree(folder, ignore_errors=True)


def _alive(ticket: Ticket) -> bool:
    if ticket.host != socket.gethostname():
        return False  # its folder is not shared: that host was this one under another name
    began = datetime.fromisoformat(ticket.started_at).astimezone(UTC)
    return is_alive(RunRecord(ticket.run_id, "drill", "", began, ticket.pid, ticket.host))


def _template(site: Site, ticket: Ticket) -> Template | None:
    try:
        return templates.find(site.settings, ticket.runbook)
    except OpsError:
        return None
