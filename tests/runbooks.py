"""Runbooks in tests: their evidence, and what becomes of it when a step is taken out."""

from __future__ import annotations

import json
import shutil
from typing import Any

from tests.support import CHECKOUT, Completed, Installation


def evidence(done: Completed) -> dict[str, Any]:
    """The evidence that a command with --json printed."""
    found: dict[str, Any] = done.json
    assert "verdict" in found, done
    return found


def facts(done: Completed, name: str) -> Any:
    """What a notebook put into the evidence under this name."""
    return evidence(done)["more"][name]


def take_out(installation: Installation, runbook: str, *calls: str) -> None:
    """Let the installation have notebooks of its own, one without the cells that call these."""
    folder = installation.root / "runbooks"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(CHECKOUT / "runbooks", folder)
    path = folder / f"{runbook}.ipynb"
    notebook = json.loads(path.read_text())
    kept = [cell for cell in notebook["cells"] if not _calls("".join(cell["source"]), calls)]
    assert len(kept) == len(notebook["cells"]) - len(calls), f"{runbook} calls not all of {calls}"
    path.write_text(json.dumps({**notebook, "cells": kept}))


def _calls(source: str, calls: tuple[str, ...]) -> bool:
    return any(f".{call}(" in source for call in calls)


def put_back(installation: Installation) -> None:
    """Let it use the shipped notebooks again."""
    shutil.rmtree(installation.root / "runbooks", ignore_errors=True)
