from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from archon_ops.actions.doctor import api, containers, network, services
from archon_ops.actions.doctor.surroundings import Service, Surroundings
from archon_ops.hosts.described import Container, Network
from archon_ops.model.diagnosis import Finding, Status
from archon_ops.services.health import Verdict

UP = "docker compose up -d"
BACKUPS = Path("/srv/archon/backups")
DATABASE = Container(
    id="1",
    name="supabase-ai-db",
    image="sha256:1",
    status="running",
    health="healthy",
    started_at="2025-12-17T00:00:00Z",
    restarts=0,
    environment={},
    addresses={"local-ai": "172.20.0.2"},
    ports={},
    mounts=(),
    labels={},
    init=False,
    shm_bytes=64 << 20,
)
MOUNT = {"Type": "bind", "Source": str(BACKUPS), "Destination": "/app/backups", "RW": False}
SERVER = replace(DATABASE, id="2", name="archon-server", mounts=(MOUNT,))


def _seen(*found: Container, **more: object) -> Surroundings:
    around = Surroundings(engine="28.2", database=found, first_program="postgres")
    return replace(around, **more)  # type: ignore[arg-type]


def _service(container: Container, well: bool = True, why: str = "healthy") -> Service:
    return Service(container.name, (container,), (Verdict(container.name, well, why),))


def _only(findings: tuple[Finding, ...], check: str) -> Finding:
    (finding,) = (f for f in findings if f.check == check)
    return finding


def test_an_engine_that_is_down_is_all_there_is_to_say() -> None:
    down = Surroundings(trouble="no Docker engine answers", hint="systemctl start docker")
    (finding,) = containers.judge(down, "supabase-ai-db", UP)
    assert finding.blocks_backup
    assert finding.mend == "systemctl start docker"
    assert list(services.judge(down, BACKUPS, UP, UP)) == []


@pytest.mark.parametrize(
    ("found", "said", "mend"),
    [
        ((), "does not exist", UP),
        ((DATABASE, replace(DATABASE, name="other")), "2 containers match", 'container = "NAME"'),
        ((replace(DATABASE, status="exited"),), "is exited", "docker start supabase-ai-db"),
        ((replace(DATABASE, status="paused"),), "is paused", "docker unpause supabase-ai-db"),
        (
            (replace(DATABASE, status="restarting", restarts=9),),
            "again and again (9 times)",
            "docker logs --tail 50 supabase-ai-db",
        ),
    ],
)
def test_a_container_that_cannot_be_used_blocks_a_backup(
    found: tuple[Container, ...], said: str, mend: str
) -> None:
    answers = tuple(containers.judge(_seen(*found), "supabase-ai-db", UP))
    finding = _only(answers, "container")
    assert finding.blocks_backup
    assert said in finding.found
    assert mend in finding.mend
    assert len(answers) == 2  # of what does not run, nothing more can be said


def test_a_container_that_runs_is_looked_at_further() -> None:
    answers = tuple(containers.judge(_seen(DATABASE), "supabase-ai-db", UP))
    assert [f.check for f in answers] == [
        "engine",
        "container",
        "container.health",
        "container.init",
    ]
    assert not any(f.blocks_backup for f in answers)


def test_an_unhealthy_container_is_a_warning() -> None:
    assert containers.healthy(replace(DATABASE, health="unhealthy")).status is Status.WARNING
    assert containers.healthy(replace(DATABASE, health=None)).status is Status.OK


@pytest.mark.parametrize(
    ("container", "program", "status"),
    [
        (DATABASE, "postgres", Status.NOTE),
        (DATABASE, "tini", Status.OK),
        (DATABASE, None, Status.UNKNOWN),
        (replace(DATABASE, init=True), None, Status.OK),
    ],
)
def test_who_is_process_1(container: Container, program: str | None, status: Status) -> None:
    assert containers.init(container, program).status is status


def test_a_removed_service_is_named_with_the_command_that_makes_it_again() -> None:
    (finding,) = services.state(Service("archon-server", (), ()), UP)
    assert finding.status is Status.PROBLEM
    assert "archon-server does not exist" in finding.found
    assert finding.mend == UP
    assert not finding.blocks_backup


def test_a_stopped_service_and_a_sick_one() -> None:
    stopped = _service(replace(SERVER, status="exited"), well=False, why="is exited")
    (finding,) = services.state(stopped, UP)
    assert finding.mend == "docker start archon-server"
    (finding,) = services.state(_service(SERVER, well=False, why="healthcheck: unhealthy"), UP)
    assert finding.mend == "docker logs --tail 50 archon-server"


def test_the_database_among_the_services_is_refused() -> None:
    seen = _seen(DATABASE, services=(_service(DATABASE),))
    finding = services.database_among(seen)
    assert finding is not None
    assert finding.status is Status.PROBLEM
    assert services.database_among(_seen(DATABASE, services=(_service(SERVER),))) is None


def test_a_volume_contradicts_that_nothing_needs_a_backup() -> None:
    volume = {"Type": "volume", "Name": "archon_data", "Destination": "/data"}
    finding = services.mounts((SERVER, replace(SERVER, mounts=(MOUNT, volume))))
    assert finding.status is Status.WARNING
    assert "archon-server:/data (archon_data)" in finding.found
    assert services.mounts((SERVER,)).status is Status.OK


@pytest.mark.parametrize(
    ("mounts", "status", "said"),
    [
        ((MOUNT,), Status.OK, "read-only"),
        ((), Status.WARNING, "no mount"),
        (({**MOUNT, "Source": "/elsewhere"},), Status.WARNING, "/elsewhere"),
        (({**MOUNT, "RW": True},), Status.NOTE, "could write"),
    ],
)
def test_the_mount_of_the_backups(
    mounts: tuple[dict[str, object]], status: Status, said: str
) -> None:
    finding = services.backups_mount(replace(SERVER, mounts=mounts), BACKUPS, UP)
    assert finding.status is status
    assert said in finding.found
    if not mounts:
        assert "./backups:/app/backups:ro" in finding.mend
        assert finding.mend.endswith(UP)


NETWORK = Network("archon_app-network", "br-1", ("172.20.0.0/16",))
TABLE = """Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT
eth0 00000000 0100A8C0 0003 0 0 0 00000000 0 0 0
br-1 000014AC 00000000 0001 0 0 0 0000FFFF 0 0 0
tun0 000010AC 00000000 0001 0 0 0 0000F0FF 0 0 0
tun0 051014AC 00000000 0001 0 0 0 FFFFFFFF 0 0 0
down 000014AC 00000000 0000 0 0 0 0000FFFF 0 0 0
what is this
"""


@pytest.fixture
def routes(tmp_path: Path) -> tuple[network.Route, ...]:
    (tmp_path / "route").write_text(TABLE)
    return network.read_routes(tmp_path / "route")


def test_routes_are_read_without_the_default_one(routes: tuple[network.Route, ...]) -> None:
    assert [(r.device, str(r.range)) for r in routes] == [
        ("br-1", "172.20.0.0/16"),
        ("tun0", "172.16.0.0/12"),
        ("tun0", "172.20.16.5/32"),
    ]
    assert network.read_routes(Path("/nonexistent")) == ()


def test_a_vpn_with_the_containers_addresses_takes_their_packets(
    routes: tuple[network.Route, ...],
) -> None:
    finding = network.judge((NETWORK,), routes)
    assert finding.status is Status.WARNING
    assert "172.20.16.5/32 over tun0" in finding.found
    assert "10.213.0.0/16" in finding.mend  # the others lie in the VPN's range


def test_a_wider_route_only_hides_the_other_side(routes: tuple[network.Route, ...]) -> None:
    finding = network.judge((NETWORK,), routes[:2])
    assert finding.status is Status.NOTE
    assert "172.16.0.0/12" in finding.found


def test_a_networks_own_route_is_no_rival(routes: tuple[network.Route, ...]) -> None:
    assert network.judge((NETWORK,), routes[:1]).status is Status.OK
    six = Network("six", "br-6", ("fd00::/64",))
    assert network.judge((six,), routes).status is Status.OK


URL = "http://localhost:8181/api/backup/status"
NO_MOUNT = services.backups_mount(replace(SERVER, mounts=()), BACKUPS, UP)


@pytest.mark.parametrize(
    ("answer", "server", "others", "mend"),
    [
        (api.Answer(URL, 404), SERVER, (NO_MOUNT,), "./backups:/app/backups:ro"),
        (api.Answer(URL, 404), SERVER, (), "docker logs --tail 50 archon-server"),
        (api.Answer(URL, None, "refused"), None, (), UP),
        (
            api.Answer(URL, None, "refused"),
            replace(SERVER, status="exited"),
            (),
            "docker start archon-server",
        ),
        (api.Answer(URL, None, "timed out"), SERVER, (NO_MOUNT,), "docker logs"),
    ],
)
def test_why_the_api_does_not_answer(
    answer: api.Answer, server: Container | None, others: tuple[Finding, ...], mend: str
) -> None:
    finding = api.judge(answer, server, others, UP)
    assert finding.status is Status.WARNING
    assert mend in finding.mend


def test_a_subnet_in_the_way_is_the_reason_of_a_timeout(routes: tuple[network.Route, ...]) -> None:
    rival = network.judge((NETWORK,), routes)
    finding = api.judge(api.Answer(URL, None, "timed out"), SERVER, (rival,), UP)
    assert finding.mend == rival.mend


def test_an_answer_is_an_answer() -> None:
    assert api.judge(api.Answer(URL, 200), SERVER, (), UP).status is Status.OK


@pytest.mark.parametrize(
    "base", ["http://localhost:1", "http://u:secret@localhost:1", "http://[", ""]
)
def test_asking_never_raises_and_shows_no_credentials(base: str) -> None:
    answer = api.ask(base)
    assert answer.status is None
    assert answer.error
    assert "secret" not in answer.url + answer.error
