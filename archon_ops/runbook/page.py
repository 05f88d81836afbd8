"""One page of an executed notebook: everything in it, nothing from elsewhere, fit for paper."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from archon_ops.model.scenario import promise
from archon_ops.model.shown import Table, facts
from archon_ops.model.units import human_duration, human_size
from archon_ops.runbook.execute import without_slow_import
from archon_ops.runbook.look import html

_PAGE = Path(__file__).with_name("page.html")
_SCRIPT = re.compile(r"<script\b.*?</script\s*>", re.DOTALL | re.IGNORECASE)


def page(notebook: dict[str, Any] | None, found: dict[str, Any]) -> str:
    """The page.

    Args:
        notebook: as it was executed; None where it never was.
        found: the evidence.
    """
    verdict = found["verdict"]
    values = {
        "title": escape(found["identity"]["scenario"]),
        "verdict": escape(verdict),
        "class": escape(verdict.lower()),
        "reasons": "".join(f"<li>{escape(reason)}</li>" for reason in found["reasons"]),
        "body": _body(notebook) if notebook else "<p>The notebook was never executed.</p>",
        "evidence": "\n".join(html(table) for table in _tables(found)),
    }
    text = _PAGE.read_text()
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], text)


def _body(notebook: dict[str, Any]) -> str:
    """The notebook's own prose and what its cells showed."""
    with without_slow_import():
        import nbformat
        from nbconvert import HTMLExporter

    exporter = HTMLExporter(
        template_name="basic",
        exclude_input=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
    )
    node = nbformat.reads(json.dumps(notebook), 4)  # type: ignore[no-untyped-call]
    body, _ = exporter.from_notebook_node(node)
    return _SCRIPT.sub("", body)


def _tables(found: dict[str, Any]) -> Iterator[Table]:
    """The evidence, for those who read nothing else."""
    identity, people, tool = found["identity"], found["people"], found["tool"]
    yield facts(
        "Run",
        ("Id", identity["id"]),
        ("Mode", identity["mode"]),
        ("Begun", identity["trigger"]),
        ("From", found["started_at"]),
        ("To", found["finished_at"]),
        ("Operator", people["operator"]),
        ("Account", people["account"]),
        ("Tool", f"{tool['name']} {tool['version']}, commit {tool['commit'] or 'unknown'}"),
        ("Notebook", f"{tool['template']['state']}, SHA-256 {tool['template']['sha256'] or '-'}"),
        ("Speaks to", ", ".join(identity["controls"]) or None),
    )
    yield _objectives(found["objectives"])
    if backup := found["backup"]:
        yield facts(
            "Backup under test",
            ("Name", backup["name"]),
            ("Size", human_size(backup["size_bytes"])),
            ("SHA-256", backup["sha256"]),
            ("Holds the database as of", backup["snapshot_at"]),
            ("Migration head", backup["migration_head"]),
            ("Copies", ", ".join(backup["copies"])),
        )
    yield Table(
        "Timeline (UTC)",
        ("began", "step", "outcome", "took"),
        tuple(
            (s["began_at"], s["title"], s["outcome"], _seconds(s["seconds"]))
            for s in found["timeline"]
        ),
    )
    yield from _lists(found)
    yield facts("Sign-off", ("Reviewer", ""), ("Date", ""))


def _objectives(promised: dict[str, Any]) -> Table:
    words = {True: "met", False: "MISSED", None: "not known"}
    rows = tuple(
        (
            name.replace("_", " ").capitalize(),
            _seconds(promised[f"{name}_seconds"]),
            _seconds(promised[f"{name}_objective_seconds"]),
            words[promised[f"{name}_met"]],
        )
        for name in ("recovery_time", "recovery_point")
    )
    limits = promised["handbook_seconds"]
    note = f"The handbook promises {promise(limits)}." if limits else ""
    return Table("Objectives", ("", "found", "objective", ""), rows, note)


def _lists(found: dict[str, Any]) -> Iterator[Table]:
    checks = found["integrity"]["checks"]
    if checks:
        rows = tuple(("passed" if c["passed"] else "FAILED", c["name"], c["found"]) for c in checks)
        yield Table("Checks", ("", "what", "found"), rows)
    if controls := found["negative_controls"]:
        words = {True: "noticed", False: "NOT NOTICED", None: "not tried"}
        tried = tuple((words[c["noticed"]], c["damage"], c["found"]) for c in controls)
        yield Table("Negative controls", ("", "damage done", "what the proof said"), tried)
    for title, name in (
        ("Not covered", "not_covered"),
        ("Deviations", "deviations"),
        ("Planned and not done", "not_done"),
    ):
        if lines := found[name]:
            yield Table(title, (), tuple((line,) for line in lines))
    if errors := found["errors"]:
        told = tuple((e["message"], e["hint"]) for e in errors)
        yield Table("Errors", ("what", "what to do"), told)


def _seconds(value: float | None) -> str:
    return "-" if value is None else human_duration(value)
