"""The document's disasters as drills on a machine without containers: done, mended, proven."""

from __future__ import annotations

from pathlib import Path

import pytest

from archon_ops.model.report import Silent
from archon_ops.model.scenario import CORRUPTION, DELETION, MIGRATION, SYSTEM_LOSS, Scenario
from archon_ops.postgres.server import Server
from archon_ops.rig import sample
from tests import git
from tests.runbooks import evidence, facts, put_back, take_out
from tests.support import KEY, Installation, new_database

pytestmark = pytest.mark.slow

# All five pass on an engine, in tests/docker; here are those whose disaster is another without one.
SEEN = {SYSTEM_LOSS: "has not been made", CORRUPTION: "XX001: invalid page"}


def _with_code(folder: Path) -> tuple[str, ...]:
    """Parameters for Archon's code at a commit that is not its repository's newest."""
    (folder / ".env.example").write_text("ENCRYPTION_KEY=\nPORT=8181\nOPENAI_API_KEY=your-key\n")
    commit = git.begin(folder)
    (folder / ".env.example").unlink()
    git.commit(folder, "without an example")
    return "-p", f"repository={folder}", "-p", f"commit={commit}"


@pytest.mark.parametrize("scenario", [SYSTEM_LOSS, CORRUPTION], ids=lambda s: s.runbook)
def test_a_drill_does_the_disaster_and_mends_it(
    module_installation: Installation, tmp_path: Path, scenario: Scenario
) -> None:
    installation = module_installation
    before, files = installation.content(), installation.files()
    words = _with_code(tmp_path) if scenario is SYSTEM_LOSS else ()
    done = installation.run("runbook", scenario.runbook, "--json", *words)
    assert installation.content() == before, "the drill changed production"
    assert installation.files() == files, "the drill changed the backups"
    found = evidence(done)
    assert (found["verdict"], found["reasons"]) == ("PASS", []), done
    if scenario is SYSTEM_LOSS:
        assert facts(done, "archon_commit") == words[-1].removeprefix("commit=")
        assert facts(done, "environment_names_empty") == ["ENCRYPTION_KEY", "OPENAI_API_KEY"]
    assert SEEN[scenario] in facts(done, "disaster")["seen"]
    assert found["integrity"]["proof"]["equal"] is True
    assert found["objectives"]["recovery_time_seconds"] > 0
    assert found["objectives"]["handbook_seconds"] == list(scenario.expected_seconds)
    assert "; the handbook promises " in (Path(done.json["folder"]) / "summary.md").read_text()
    assert "The handbook promises " in (Path(done.json["folder"]) / "report.html").read_text()
    assert [s["outcome"] for s in found["timeline"]] == ["done"] * len(found["timeline"])
    noticed = {c["name"] for c in found["negative_controls"] if c["noticed"]}
    assert noticed == {"bit", "row", "vector", "index", "right"}
    assert list((installation.root / ".archon" / "sandboxes").glob("archon_sandbox-*")) == []


@pytest.mark.parametrize(
    ("scenario", "step"),
    [(CORRUPTION, "restore"), (DELETION, "bring_back"), (MIGRATION, "restore")],
    ids=lambda value: value if isinstance(value, str) else value.runbook,
)
def test_without_its_restore_a_drill_fails(
    module_installation: Installation, scenario: Scenario, step: str
) -> None:
    take_out(module_installation, scenario.runbook, step, "controls")
    try:
        done = module_installation.run("runbook", scenario.runbook, "--json").ended(1)
    finally:
        put_back(module_installation)
    found = evidence(done)
    assert found["verdict"] == "FAIL"
    assert any(not check["passed"] for check in found["integrity"]["checks"]), done


def test_a_sandbox_of_a_source_behind_a_dsn_runs_that_servers_own_version(
    postgres_15: Server, empty_installation: Installation
) -> None:
    installation, env = empty_installation, {"ARCHON_SOURCE": "live"}
    with new_database(postgres_15, "scenario") as connection:
        sample.create(connection, 1, Silent(), encryption_key=KEY, vectors=False)
        where = " ".join(f"{key}={value}" for key, value in postgres_15.address.items())
        text = f'[sources.live]\nkind = "direct"\ndsn = "{where} dbname=scenario"\n'
        (installation.root / "archon.toml").write_text(text)
        installation.run("backup", env=env).ok()
        found = evidence(installation.run("runbook", DELETION.runbook, "--json", env=env))
    assert (found["verdict"], found["reasons"]) == ("PASS", []), found
    assert found["environment"]["sandbox"]["version"].startswith("15.")


def test_no_containers_no_container_deletion(module_installation: Installation) -> None:
    done = module_installation.run("runbook", "scenario-3-container-deletion", "--json").ended(5)
    found = evidence(done)
    assert found["verdict"] == "INCONCLUSIVE"
    (reason,) = found["reasons"]
    assert "no containers" in reason


def test_live_mode_without_confirmation_changes_nothing(module_installation: Installation) -> None:
    before = module_installation.content()
    name = DELETION.runbook
    done = module_installation.run("runbook", name, "-p", "mode=live", "--json").ended(5)
    assert "only when it is confirmed" in evidence(done)["reasons"][0]
    assert module_installation.content() == before
