"""A repository on S3 behind TLS, with nothing of it on the database's host."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests import s3, tls
from tests.docker.engine import Engine
from tests.docker.house import House, house
from tests.docker.pitr import REPOSITORY, archiving_house, inside

pytestmark = pytest.mark.slow
CONFIG = "--config=/etc/pgbackrest/pgbackrest.conf"
HOST, BUCKET = "s3.archon.test", "repository"
ENV = "ARCHON_SOURCES__ARCHON__PITR__REPO1__"
_SEGMENT = re.compile(r"/0000000100000000/[0-9A-F]{24}-")
# pgBackRest itself asks three times within a second or two.
_AWAY_SECONDS = 5
_DEAD_SECONDS = 300


@dataclass(frozen=True)
class Afar:
    """A house whose repository is on S3.

    Attributes:
        home: the house.
        server: the S3 server.
        proxy: before it; may be told to misbehave.
    """

    home: House
    server: s3.S3Server
    proxy: s3.Proxy


@pytest.fixture(scope="module")
def afar(engine: Engine, pg17_image: str) -> Iterator[Afar]:
    with contextlib.ExitStack() as made:
        server = made.enter_context(s3.running())
        server.bucket(BUCKET)
        proxy = made.enter_context(s3.proxied(server))
        outside = made.enter_context(tls.before(proxy.url, HOST))
        network = engine.client.networks.get("bridge").attrs["IPAM"]["Config"][0]
        # Some engines leave the gateway out where nobody chose it: then it is the first address.
        first = next(ipaddress.ip_network(network["Subnet"]).hosts())
        gateway = network.get("Gateway") or str(first)
        home = made.enter_context(
            archiving_house(engine, pg17_image, set_up=False, extra_hosts={HOST: gateway})
        )
        root = home.installation.root
        shutil.copy(outside.ca, root / "ca.crt")
        secrets = {"ACCESS_KEY": s3.KEY, "SECRET_KEY": s3.SECRET}
        with (root / ".env").open("a") as file:
            file.writelines(f"{ENV}{name}={value}\n" for name, value in secrets.items())
        home.configure()
        with (root / "archon.toml").open("a") as file:
            file.write(
                f'[sources.archon.pitr.repo1]\nurl = "s3://{BUCKET}/deep"\nendpoint = "{HOST}"\n'
                f'port = {outside.port}\npath_style = true\nca_file = "ca.crt"\n'
            )
        yield Afar(home, server, proxy)


def test_all_of_it_lies_there_and_nothing_here(afar: Afar) -> None:
    shown = afar.home.run("pitr.setup", "--dry-run").ok()
    assert f"s3://{BUCKET}/deep at {HOST}" in shown.stdout
    assert s3.SECRET not in shown.stdout + shown.stderr
    assert s3.KEY not in shown.stdout + shown.stderr
    afar.home.run("pitr.setup", "--yes").ok()
    taken = afar.home.run("pitr.backup", "--type", "full", "--json").ok().json
    assert taken["proven"] is True
    names = set(afar.server.objects(BUCKET))
    assert f"deep/backup/archon/{taken['label']}/backup.manifest" in names
    assert inside(afar.home, "find", "/var/lib/pgbackrest", "-type", "f") == ""
    afar.home.run("pitr.verify").ok()


def test_connections_that_are_cut(afar: Afar) -> None:
    written: list[str] = []

    def cut(method: str, path: str) -> s3.Cut | None:
        """Of what is written every third, once; what is read only another run asks for again."""
        if method != "PUT" or path in written:
            return None
        written.append(path)
        return s3.Cut() if len(written) % 3 == 0 else None

    afar.proxy.misbehave = cut
    taken = afar.home.run("pitr.backup", "--json").ok().json
    assert taken["proven"] is True
    assert len(written) > 6
    afar.proxy.misbehave = lambda _method, _path: s3.Refuse(403, "AccessDenied")
    refused = afar.home.run("pitr.backup", "--json").ended(3)
    assert "AccessDenied" in refused.json["error"]["message"]
    assert s3.SECRET not in refused.stdout + refused.stderr
    afar.proxy.misbehave = lambda _method, _path: None
    listed = afar.home.run("pitr.list", "--json").ok().json
    assert listed["backups"][0]["label"] == taken["label"]


def test_a_restore_outlives_a_repository_that_goes_for_a_while(afar: Afar) -> None:
    """Files of the backup, then WAL: whoever reads it is cut off, and asks again."""
    cuts: list[str] = []
    away: list[float] = []

    def cut(method: str, path: str) -> s3.Cut | None:
        if method != "GET":
            return None
        files = "/pg_data/" in path or "/bundle/" in path
        if files and not cuts:
            cuts.append(path)
            return s3.Cut(after=100)
        # What replays WAL comes after what copies files.
        if _SEGMENT.search(path) and cuts and not away:
            away.append(time.monotonic() + _AWAY_SECONDS)
        if away and time.monotonic() < away[0]:
            cuts.append(path)
            return s3.Cut()
        return None

    afar.proxy.misbehave = cut
    brought = afar.home.run("pitr.restore", "--time", "latest", "--json").ok().json
    afar.proxy.misbehave = lambda _method, _path: None
    assert brought["proof"]["equal"] is True
    assert [bool(_SEGMENT.search(path)) for path in cuts[:2]] == [False, True]


def test_a_dead_server_is_told_in_time(afar: Afar) -> None:
    afar.proxy.misbehave = lambda _method, _path: s3.Cut()
    began = time.monotonic()
    done = afar.home.run("pitr.restore", "--time", "latest").ended(3)
    afar.proxy.misbehave = lambda _method, _path: None
    assert "repository 1 of archon cannot be read" in done.stderr
    assert "is it reachable" in done.stderr
    assert time.monotonic() - began < _DEAD_SECONDS


def test_an_empty_container_gets_everything_from_there(
    afar: Afar, engine: Engine, pg17_image: str
) -> None:
    """Nothing of it is left here: no data, no WAL, no configuration of pgBackRest's."""
    before, lost = afar.home.content(), afar.home.database.container
    inside(afar.home, "pgbackrest", CONFIG, "--stanza=archon", "check")  # archives all there is
    lost.stop(timeout=60)
    known = dict(name.split(":", 1) for name in lost.attrs["HostConfig"]["ExtraHosts"])
    with house(engine, pg17_image, filled=False, extra_hosts=known) as fresh:
        root = fresh.installation.root
        for name in ("archon.toml", ".env", "ca.crt"):
            shutil.copy(afar.home.installation.root / name, root)
        told = (root / "archon.toml").read_text()
        (root / "archon.toml").write_text(
            told.replace(str(lost.name), str(fresh.database.container.name))
        )
        brought = fresh.run("pitr.restore", "--time", "latest", "--json").ok().json
        fresh.run("restore", brought["backup"], "--create-roles", "--yes").ok()
        assert fresh.content() == before
    lost.start()
    afar.home.database.wait_ready()


def test_a_second_repository_serves_when_the_first_is_gone(afar: Afar) -> None:
    home, path = afar.home, afar.home.installation.root / "archon.toml"
    first = path.read_text()
    second = f'[sources.archon.pitr.repo2]\nurl = "{REPOSITORY}"\n'
    path.write_text(f"{first}{second}")
    home.run("pitr.setup", "--yes").ok()
    assert "repository 2 holds no backup" in home.run("pitr.list").ok().stderr
    taken = home.run("pitr.backup", "--repository", "all", "--json").ok().json["backups"]
    assert [(b["repository"], b["kind"]) for b in taken] == [(1, "pitr-incr"), (2, "pitr-full")]
    assert [b["proven"] for b in taken] == [True, True]
    home.run("pitr.verify").ok()
    home.database.psql("CREATE TABLE public.archon_later (i int PRIMARY KEY)")
    home.database.psql("INSERT INTO public.archon_later VALUES (1)")
    when = home.database.psql("SELECT clock_timestamp()")
    home.database.psql("DELETE FROM public.archon_later")
    inside(home, "pgbackrest", CONFIG, "--stanza=archon", "check")
    afar.proxy.misbehave = lambda _method, _path: s3.Refuse(404, "NoSuchBucket")
    arguments = ("--time", when, "--rescue", "--table", "archon_later", "--yes", "--json")
    brought = home.run("pitr.restore", *arguments).ok().json
    assert brought["rescue"]["proof"]["equal"] is True
    assert home.database.psql("SELECT i FROM public.archon_later") == "1"
    # WAL waits for all repositories: to go on without one, it is taken out.
    path.write_text(first.partition("[sources.archon.pitr.repo1]")[0] + second)
    (home.installation.root / ".env").write_text("")
    home.run("pitr.setup", "--yes").ok()
    alone = home.run("pitr.backup", "--json").ok().json
    assert (alone["repository"], alone["kind"], alone["proven"]) == (2, "pitr-incr", True)
