"""The document's five disasters with containers, as drills; test_system_loss.py is live."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from archon_ops.model.scenario import CONTAINERS, SCENARIOS, SYSTEM_LOSS, Scenario
from archon_ops.postgres.container_sandbox import LABEL
from archon_ops.rig import copies
from tests.docker import compose, supabase
from tests.docker.engine import Engine
from tests.docker.house import House, house
from tests.runbooks import evidence, facts, put_back, take_out
from tests.support import require

pytestmark = pytest.mark.slow

SERVICES = 3
# What containers do not make different stands in tests/integration.
WITHOUT = [(SYSTEM_LOSS, "restore"), (CONTAINERS, "start_services")]


@pytest.fixture(scope="module")
def home(engine: Engine, pg17_image: str, service_image: str) -> Iterator[House]:
    """A database like Supabase's, a backup, three services, and the project that makes them."""
    require(compose.available(), "the program docker-compose")
    options = {"env": supabase.ENVIRONMENT, "filled": False}
    with house(engine, pg17_image, service_image=service_image, count=SERVICES, **options) as made:
        supabase.shape(made.database)
        site = made.installation.site(source="archon")
        # Its name becomes the project's, which no other test may have.
        folder = made.installation.root / f"{made.installation.root.name}-archon"
        found = [copies.of_service(c, c.name) for c in site.services().existing()]
        copies.write(folder, found, engine.labels)
        made.configure(archon_compose=str(folder), exclude_schemas=["vault"])
        made.run("backup").ok()
        yield made


def _left(engine: Engine, home: House) -> list[str]:
    """What sandboxes of this installation's runs left; other workers have theirs meanwhile."""
    api, only = engine.client.api, {"label": LABEL}
    runs = {r.id for r in home.installation.site(source="archon").journal.records()}
    found = [*api.containers(all=True, filters=only), *api.networks(filters=only)]
    ours = [thing for thing in found if thing["Labels"][LABEL] in runs]
    return [json.dumps(thing.get("Names") or thing.get("Name")) for thing in ours]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.runbook)
def test_a_drill_passes_and_touches_nothing(
    engine: Engine, home: House, scenario: Scenario
) -> None:
    before = home.content()
    done = home.run("runbook", scenario.runbook, "--json")
    found = evidence(done)
    assert (found["verdict"], found["reasons"]) == ("PASS", []), done
    healthy = [c for c in found["integrity"]["checks"] if c["name"].startswith("service ")]
    assert [c["passed"] for c in healthy] == [True] * SERVICES
    assert facts(done, "disaster")["seen"]
    assert found["environment"]["sandbox"]["image"].startswith("sha256:")
    assert home.content() == before
    assert set(home.served().values()) == {True}
    assert _left(engine, home) == []


@pytest.mark.parametrize(
    ("scenario", "step"), WITHOUT, ids=lambda v: v if isinstance(v, str) else v.runbook
)
def test_without_its_recovery_step_a_drill_fails(
    engine: Engine, home: House, scenario: Scenario, step: str
) -> None:
    take_out(home.installation, scenario.runbook, step, "controls")
    try:
        done = home.run("runbook", scenario.runbook, "--json").ended(1)
    finally:
        put_back(home.installation)
    assert evidence(done)["verdict"] == "FAIL"
    assert any(not check["passed"] for check in evidence(done)["integrity"]["checks"]), done
    assert _left(engine, home) == []
