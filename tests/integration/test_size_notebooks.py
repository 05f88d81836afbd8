"""Both notebooks of sizes as people run them: as evidence, without widgets."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from archon_ops.model.history import point_of
from archon_ops.storage import points
from tests.browser import in_chromium
from tests.support import Installation

pytestmark = pytest.mark.slow


def grown(installation: Installation, count: int) -> None:
    """Give it a past of so many days, each 100 KB smaller than the next."""
    site = installation.site()
    manifest = site.directory.catalog().newest_first[0].manifest
    assert manifest is not None
    newest = point_of(manifest)
    for days in range(1, count + 1):
        size = newest.database_bytes - days * 100_000
        at = newest.at - timedelta(days=days)
        points.append(site.directory, replace(newest, at=at, database_bytes=size, backup=str(days)))


@pytest.fixture(scope="module")
def site(module_installation: Installation) -> Installation:
    grown(module_installation, 24)
    return module_installation


def evidence(site: Installation, *args: str) -> tuple[Any, str]:
    found = site.run("runbook", *args, "--json").ok().json
    assert (found["verdict"], found["reasons"]) == ("PASS", [])
    assert found["tool"]["template"]["state"] == "as shipped"
    return found, (Path(found["folder"]) / "report.html").read_text()


def test_growth_leaves_curves_and_decisions_as_evidence(site: Installation, tmp_path: Path) -> None:
    before = site.content()
    found, page = evidence(site, "growth", "-p", "days=90")

    assert page.count("data:image/svg+xml") >= 4
    assert "Database of the next 90 days" in page
    assert "The document&#x27;s table" in page or "The document's table" in page
    assert "a backup is larger than 1 GB" in page
    opened = in_chromium(Path(found["folder"]) / "report.html", tmp_path)
    assert (opened.console, opened.requests) == ([], [])
    assert site.content() == before


def test_size_analysis_shows_the_same_views_without_widgets(site: Installation) -> None:
    before = site.content()
    _, page = evidence(
        site, "size_analysis", "-p", "rows_per_week=1000", "-p", "tables=archon_crawled_pages"
    )

    assert "embeddings of 1536 dimensions" in page
    assert "archon_code_examples" not in page.split("Knowledge sources")[0].split("Tree")[1]
    assert "python-reference" in page
    assert "and a year of growth" in page
    assert "Largest rows" in page
    assert "jupyter.widget" not in page
    assert site.content() == before


def test_a_table_that_is_not_there_and_a_short_history_are_told(
    installation: Installation,
) -> None:
    wrong = installation.run("runbook", "size_analysis", "-p", "tables=archon_nothing", "--json")
    assert "there is no table archon_nothing" in wrong.json["reasons"][0]
    short = installation.run("runbook", "growth", "--json")
    assert short.json["verdict"] == "INCONCLUSIVE"
    assert "a projection needs 4" in short.json["reasons"][0]
