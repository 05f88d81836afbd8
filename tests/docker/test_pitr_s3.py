"""A repository on S3 behind TLS, with nothing of it on the database's host."""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests import s3, tls
from tests.docker.engine import Engine
from tests.docker.house import House, house
from tests.docker.pitr import archiving_house, inside

pytestmark = pytest.mark.slow
HOST, BUCKET = "s3.archon.test", "repository"
ENV = "ARCHON_SOURCES__ARCHON__PITR__REPO1__"


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
    count = itertools.count(1)

    def cut(method: str, _path: str) -> s3.Cut | None:
        """Of what is written every third; what is read is asked for again only by another run."""
        return s3.Cut() if method == "PUT" and next(count) % 3 == 0 else None

    afar.proxy.misbehave = cut
    taken = afar.home.run("pitr.backup", "--json").ok().json
    assert taken["proven"] is True
    assert next(count) > 6
    afar.proxy.misbehave = lambda _method, _path: s3.Refuse(403, "AccessDenied")
    refused = afar.home.run("pitr.backup", "--json").ended(3)
    assert "AccessDenied" in refused.json["error"]["message"]
    assert s3.SECRET not in refused.stdout + refused.stderr
    afar.proxy.misbehave = lambda _method, _path: None
    listed = afar.home.run("pitr.list", "--json").ok().json
    assert listed["backups"][0]["label"] == taken["label"]


def test_an_empty_container_gets_everything_from_there(
    afar: Afar, engine: Engine, pg17_image: str
) -> None:
    """Nothing of it is left here: no data, no WAL, no configuration of pgBackRest's."""
    before, lost = afar.home.content(), afar.home.database.container
    config = "--config=/etc/pgbackrest/pgbackrest.conf"
    inside(afar.home, "pgbackrest", config, "--stanza=archon", "check")  # archives all there is
    lost.stop()
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
