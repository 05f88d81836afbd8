from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from psycopg import sql

from archon_ops.errors import UntrustworthyError
from archon_ops.postgres.server import Server
from archon_ops.postgres.toc import read_contents, read_through
from tests.support import new_database

ODD = "public archon_\n9; 1 1 TABLE DATA public archon_false postgres"


@pytest.fixture(scope="module")
def made(postgres_18: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("toc") / "-x y.dump"
    with new_database(postgres_18, "contents: x") as connection:
        connection.execute("CREATE EXTENSION vector SCHEMA public")
        connection.execute("CREATE EXTENSION pg_trgm SCHEMA public")
        for name in ("archon_a", "archon_b", "other", "my_archon_c", ODD[:60]):
            connection.execute(
                sql.SQL("CREATE TABLE {} AS SELECT generate_series(1, 500) AS a").format(
                    sql.Identifier("public", name)
                )
            )
        connection.execute("CREATE TABLE public.archon_empty ()")
        connection.execute("CREATE VIEW public.archon_view AS SELECT 1 AS one")
        args = ("-Fc", f"--file={path}")
        with postgres_18.spawn("pg_dump", *args, database="contents: x") as child:
            assert child.wait(60).returncode == 0
    return path


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(made, tmp_path / "copy.dump"))


def test_the_head_and_the_entries(postgres_18: Server, made: Path) -> None:
    contents = read_contents(postgres_18.programs.tools, made)
    assert contents.database == "contents: x"
    assert contents.compression == "gzip"
    assert contents.server_major == 18
    assert contents.pg_dump.startswith("18.")
    assert contents.entries == len(contents.lines) > 10
    assert set(contents.extensions) == {"vector", "pg_trgm"}
    assert contents.archon_tables == 3  # with data; a view and a name with a line break are none


def test_a_whole_dump_can_be_read_through(postgres_18: Server, made: Path) -> None:
    read_through(postgres_18.programs.tools, made, timeout=60)


@pytest.mark.parametrize("content", [b"", b"hello\n", b"PGDMP", b"PGDMP\x01\x0e\x00" + b"\0" * 90])
def test_what_is_no_dump(postgres_18: Server, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.dump"
    path.write_bytes(content)
    with pytest.raises(UntrustworthyError) as caught:
        read_contents(postgres_18.programs.tools, path)
    assert "x.dump" in caught.value.message


def test_damage_in_the_data_shows_only_when_it_is_read(postgres_18: Server, copy: Path) -> None:
    data = bytearray(copy.read_bytes())
    place = data.rindex(b"\x78\x9c") + 40 if b"\x78\x9c" in data else len(data) - 200
    data[place] ^= 0xFF
    copy.write_bytes(data)
    read_contents(postgres_18.programs.tools, copy)
    with pytest.raises(UntrustworthyError, match=r"copy\.dump"):
        read_through(postgres_18.programs.tools, copy, timeout=60)


def test_a_cut_shows_when_it_is_read(postgres_18: Server, copy: Path) -> None:
    copy.write_bytes(copy.read_bytes()[:-60])
    with pytest.raises(UntrustworthyError):
        read_through(postgres_18.programs.tools, copy, timeout=60)
