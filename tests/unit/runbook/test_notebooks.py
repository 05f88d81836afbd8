"""The notebooks as text: one shape, thin cells, nothing left of a run."""

from __future__ import annotations

import ast
import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from archon_ops.runbook import templates
from tests.support import CHECKOUT

NOTEBOOKS = sorted((CHECKOUT / "runbooks").glob("*.ipynb"))
_SHELL = re.compile(r"^\s*[!%]|\b(subprocess|os\.system)\b", re.MULTILINE)
_SQL = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE|DROP|ALTER|CREATE)\b")
_HEADINGS = ("Parameters", "Setup", "Plan", "Evidence", "Undo")


def _cells(path: Path) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = json.loads(path.read_text())["cells"]
    return cells


def _code(path: Path) -> list[str]:
    return ["".join(c["source"]) for c in _cells(path) if c["cell_type"] == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_nothing_is_left_of_a_run(path: Path) -> None:
    for cell in _cells(path):
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_cells_are_thin_and_each_has_prose_before_it(path: Path) -> None:
    kinds = [cell["cell_type"] for cell in _cells(path)]
    assert "code" not in {a for a, b in itertools.pairwise(kinds) if b == "code"}
    for source in _code(path):
        assert len(source.splitlines()) <= 8, source
        assert not _SHELL.search(source), source
        assert not _SQL.search(source), source
        nodes = ast.walk(ast.parse(source))
        assert not any(isinstance(n, ast.FunctionDef | ast.Lambda | ast.ClassDef) for n in nodes)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_every_cell_but_the_parameters_ends_in_a_look(path: Path) -> None:
    parameters, *others = _code(path)
    assert "look(" not in parameters
    for source in others:
        last = ast.parse(source).body[-1]
        assert isinstance(last, ast.Expr), source
        assert ast.unparse(last).startswith("look("), source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_it_has_the_one_shape(path: Path) -> None:
    prose = ["".join(c["source"]) for c in _cells(path) if c["cell_type"] == "markdown"]
    found = [line.lstrip("# ") for text in prose for line in text.splitlines() if line[:1] == "#"]
    assert prose[0].startswith("# ")
    assert [h for h in found if h in _HEADINGS] == list(_HEADINGS)
    for word in ("When:", "What is lost:", "Expected time:"):
        assert word in prose[0]


def test_the_digests_of_all_notebooks_are_known() -> None:
    found = {path.stem: templates.load(path).digest for path in NOTEBOOKS}
    why = "after a change on purpose: python -m archon_ops.runbook.accept"
    assert found == templates.shipped_digests(), why
