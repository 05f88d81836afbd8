"""The drill as people run it: from the command line to the folder of evidence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.browser import in_chromium
from tests.support import CHECKOUT, Completed, Installation

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def drilled(module_installation: Installation) -> tuple[Installation, Completed]:
    """An installation in which one drill was run."""
    before = module_installation.content()
    done = module_installation.run("drill", "--json")
    assert module_installation.content() == before, "the drill changed production"
    return module_installation, done


def _evidence(done: Completed) -> dict[str, Any]:
    document: dict[str, Any] = done.ok().json
    return document


def test_a_sound_backup_passes(drilled: tuple[Installation, Completed]) -> None:
    installation, done = drilled
    found = _evidence(done)
    assert (found["verdict"], found["reasons"]) == ("PASS", [])
    assert found["backup"]["name"] == installation.latest_dump().name
    assert found["integrity"]["proof"]["equal"] is True
    assert [step["outcome"] for step in found["timeline"]] == ["done"] * len(found["timeline"])
    assert found["objectives"]["recovery_time_met"] is True
    assert found["objectives"]["recovery_point_met"] is True
    assert found["tool"]["template"]["state"] == "as shipped"
    assert found["environment"]["sandbox"]["extensions"]["vector"]
    assert found["people"]["reviewer"] is None


def test_the_folder_of_evidence_is_whole_and_private(
    drilled: tuple[Installation, Completed],
) -> None:
    installation, done = drilled
    folder = Path(_evidence(done)["folder"])
    assert folder.parent == installation.root / "reports"
    assert folder.stat().st_mode & 0o777 == 0o700
    files = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    wanted = {"report.html", "evidence.json", "summary.md", "notebook.ipynb", "events.jsonl"}
    assert wanted <= set(files)
    assert set(files.values()) == {0o600}
    assert "PASS" in (folder / "summary.md").read_text()


def test_nothing_is_left_of_it(drilled: tuple[Installation, Completed]) -> None:
    installation, _ = drilled
    assert list((installation.root / ".archon" / "runs").iterdir()) == []
    sandboxes = installation.root / ".archon" / "sandboxes"
    assert list(sandboxes.glob("archon_sandbox-*")) == []


def test_its_run_record_tells_the_verdict(drilled: tuple[Installation, Completed]) -> None:
    installation, done = drilled
    record = next(r for r in installation.site().journal.records() if r.action == "drill")
    assert record.details["verdict"] == "PASS"
    assert record.details["runbook"] == "drill"
    assert record.details["evidence"] == _evidence(done)["folder"]
    listed = installation.run("runbooks", "--json").ok().json["runbooks"]
    assert {r["last_verdict"] for r in listed if r["name"] == "drill"} == {"PASS"}
    assert {r["last_verdict"] for r in listed if r["name"] != "drill"} == {"-"}
    assert [r["last_recovery"] == "-" for r in listed] == [r["name"] != "drill" for r in listed]


def test_the_page_needs_nothing_from_elsewhere_and_the_browser_has_no_complaint(
    drilled: tuple[Installation, Completed], tmp_path: Path
) -> None:
    page = Path(_evidence(drilled[1])["folder"]) / "report.html"
    text = page.read_text()
    assert "http://" not in text
    assert "https://" not in text
    assert "begin(" not in text, "inputs are hidden"
    opened = in_chromium(page, tmp_path)
    assert "Evidence" in opened.dom
    assert (opened.console, opened.requests) == ([], [])


def test_the_browser_would_show_a_request_and_a_complaint(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<img src='http://127.0.0.1:9/x.png'><script>console.error('no')</script>")
    opened = in_chromium(page, tmp_path)
    assert opened.requests == ["http://127.0.0.1:9/x.png"]
    assert opened.console


def test_every_damage_was_noticed(drilled: tuple[Installation, Completed]) -> None:
    controls = _evidence(drilled[1])["negative_controls"]
    assert {c["name"]: c["noticed"] for c in controls} == dict.fromkeys(
        ("bit", "row", "vector", "index", "right"), True
    )


def test_evidence_is_listed_checked_and_packed(drilled: tuple[Installation, Completed]) -> None:
    installation, done = drilled
    head = _evidence(done)["head"]
    listed = installation.run("evidence", "--json").ok().json
    assert [run["verdict"] for run in listed["runs"]] == ["PASS"]
    assert listed["head"] == head
    assert installation.run("evidence.verify", "--json").ok().json["head"] == head

    pack = installation.root / "pack"
    installation.run("evidence.export", str(pack), "--from", "2020-01-01").ok()
    installation.run("evidence.export", str(pack)).ended(3)  # never into one that exists
    key = str(installation.root / ".archon" / "keys" / "signing-key.pub.pem")
    check = ("evidence.verify", "--folder", str(pack), "--key", key)
    assert "tail not checked" in installation.run(*check).ended(5).stderr
    installation.run(*check, "--head", head).ok()
    inside = ("evidence.verify", "--folder", str(pack), "--key", f"{pack}/signing-key.pub.pem")
    installation.run(*inside).ended(2)  # the key of a pack says nothing of that pack
    (page,) = pack.glob("*/report.html")
    page.write_text(page.read_text().replace("PASS", "FAIL", 1))
    told = installation.run(*check).ended(1).stdout
    assert page.parent.name in told
    assert "report.html" in told


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("nosuch",), "there is no runbook 'nosuch'"),
        (("drill", "-p", "x=1"), "no parameter 'x'"),
        (("drill", "-p", "source=demo"), "choose it with --source"),
        (("drill", "-p", "api_key=abc"), "no parameter 'api_key'"),
    ],
)
def test_what_no_runbook_is_begun_for(
    drilled: tuple[Installation, Completed], given: tuple[str, ...], said: str
) -> None:
    assert said in drilled[0].run("runbook", *given).ended(2).stderr


def test_by_hand_the_cells_leave_sealed_evidence_too(installation: Installation) -> None:
    notebook = json.loads((CHECKOUT / "runbooks" / "drill.ipynb").read_text())
    cells = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
    elsewhere = installation.root / "elsewhere"
    elsewhere.mkdir()
    subprocess.run(
        [sys.executable, "-c", "\n".join(cells)],
        cwd=elsewhere,
        env=installation.environment({"ARCHON_OPS_LAB_ROOT": str(installation.root)}),
        timeout=360,
        check=True,
    )
    (run,) = installation.run("evidence", "--json").ok().json["runs"]
    assert run["verdict"] == "PASS"
    evidence = json.loads((Path(run["folder"]) / "evidence.json").read_text())
    assert evidence["identity"]["trigger"] == "by hand in Jupyter"
    installation.run("evidence.verify").ok()
