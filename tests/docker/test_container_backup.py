"""Backup, verify, restore and undo of a database in a container, on every image we know."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker.models.containers import Container

from tests.docker import supabase as supabase_shape
from tests.docker.database import Database
from tests.docker.engine import Engine
from tests.docker.house import RESTORE, House, fill, house
from tests.docker.supabase import Supabase
from tests.support import Installation

pytestmark = pytest.mark.slow


@pytest.fixture
def plain(
    empty_installation: Installation, database_container: Callable[..., Database], pg17_image: str
) -> House:
    """A plain PostgreSQL 17 that has the name of the document, and no configuration."""
    database = database_container(pg17_image, name=supabase_shape.NAME)
    fill(database)
    return House(empty_installation, database)


def test_backup_needs_no_configuration(plain: House, archon_stack: dict[str, Container]) -> None:
    done = plain.run("backup", "--json").ok()
    (name,) = plain.dumps()
    assert name.startswith("archon_postgres-")
    assert done.json["filename"] == name
    assert _manifest(plain)["codec"] == "zstd:1"
    dump = (plain.installation.root / "backups" / name).read_bytes()
    inside = plain.database.container
    _put(inside, "/root/seen.dump", dump)
    listed = plain.database.exec("pg_restore", "--list", "/root/seen.dump")
    assert listed.returncode == 0, listed.stderr
    assert "archon_sources" in listed.stdout
    assert "Compression: zstd" in listed.stdout
    checked = plain.run("verify", "latest", "--restore", "--json").ok()
    assert checked.json

    stack = archon_stack
    stack["archon-mcp"].stop(timeout=1)
    before, started = plain.content(), _starts(stack)
    changed = plain.change()
    restored = plain.run(*RESTORE).ok()
    assert "archon-server stopped" in restored.stderr
    assert "archon-ui is back" in restored.stderr
    assert "archon-mcp" not in restored.stderr
    assert "proven equal" in restored.stderr
    assert plain.content() == before != changed
    again = _starts(stack)
    assert [n for n in stack if started[n] != again[n]] == ["archon-server", "archon-ui"]
    assert stack["archon-mcp"].status == "exited"
    plain.run("undo", "--yes").ok()
    assert plain.content() == changed
    plain.check_clean()


def _manifest(home: House) -> dict[str, Any]:
    path = home.installation.root / "backups" / home.dumps()[0]
    found: dict[str, Any] = json.loads(path.with_suffix(".json").read_text())
    return found


def _put(container: Container, path: str, data: bytes) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        info = tarfile.TarInfo(Path(path).name)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    assert container.put_archive(str(Path(path).parent), packed.getvalue())


def _starts(stack: dict[str, Container]) -> dict[str, str]:
    for service in stack.values():
        service.reload()
    return {name: s.attrs["State"]["StartedAt"] for name, s in stack.items()}


def test_a_database_of_supabase(fresh_supabase: Supabase, empty_installation: Installation) -> None:
    home = House(empty_installation, fresh_supabase.database)
    refused = home.run("backup")
    assert refused.returncode not in (0, 1), refused
    assert "vault" in refused.stderr
    assert "another role" in refused.stderr
    assert "--exclude-schema" in refused.stderr
    assert home.dumps() == []

    home.configure(exclude_schemas=["vault"])
    home.run("backup").ok()
    before = home.change()
    rights = home.run(*RESTORE)
    assert rights.returncode == 3, rights
    assert "supabase_auth_admin" in rights.stderr
    assert "postgres was not touched" in rights.stderr
    assert "user =" in rights.stderr
    assert home.content() == before
    assert [n for n in home.databases() if n.startswith("archon_")] == []
    home.check_clean()


@pytest.fixture
def house18(engine: Engine, pg18_image: str) -> Iterator[House]:
    with house(engine, pg18_image) as made:
        yield made


@pytest.fixture
def house16(engine: Engine, pg16_image: str) -> Iterator[House]:
    with house(engine, pg16_image, trigrams=False) as made:
        yield made


@pytest.fixture
def house15(engine: Engine, pg15_image: str) -> Iterator[House]:
    with house(engine, pg15_image, vectors=False) as made:
        yield made


def _there_and_back(home: House) -> None:
    before = home.content()
    home.run("backup").ok()
    home.change()
    assert home.content() != before
    done = home.run(*RESTORE).ok()
    assert "proven equal" in done.stderr
    assert home.content() == before
    home.check_clean()


def test_postgresql_16(house16: House) -> None:
    _there_and_back(house16)
    manifest = _manifest(house16)
    assert manifest["server"]["version"].startswith("16.")


def test_postgresql_18(house18: House) -> None:
    _there_and_back(house18)


def test_postgresql_15(house15: House) -> None:
    _there_and_back(house15)
    assert _manifest(house15)["codec"].startswith("gzip:")


def test_without_network_and_password(engine: Engine, pg17_image: str) -> None:
    with house(engine, pg17_image, wait=True) as home:
        # Nobody but the container's own socket lets us in: the password is another one now.
        with home.database.connect() as admin:
            admin.execute("ALTER ROLE postgres PASSWORD 'nobody knows'")
        before = _inside(home)
        done = home.run("backup").ok()
        assert "docker exec alone" in done.stderr
        assert "slower" in done.stderr
        home.run("verify", "latest").ok()
        restored = home.run(*RESTORE).ok()
        assert "proven equal" in restored.stderr
        assert _inside(home) == before


def _inside(home: House) -> str:
    query = "SELECT count(*), md5(string_agg(t::text, '' ORDER BY id)) FROM archon_projects t"
    done = home.database.exec("psql", "-U", "postgres", "-Atc", query)
    assert done.returncode == 0, done.stderr
    return done.stdout
