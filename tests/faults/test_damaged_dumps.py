"""A backup that is not what was written: everything that reads it refuses, and nothing changes."""

from __future__ import annotations

import contextlib
import json
import os
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from archon_ops.actions import restore, verify
from archon_ops.errors import ExitCode, PreconditionError, UntrustworthyError
from archon_ops.postgres.cluster import Cluster
from archon_ops.postgres.tools import SERVER_PROGRAMS, local_tools, wheel_tools
from archon_ops.site import Site
from archon_ops.storage.names import manifest_path
from tests.direct import SOURCE, copied, error_of, hosting, prepared
from tests.support import TMP, Installation, dsn, require

Damage = Callable[[bytes], bytes]
MANY_TABLES = 3000


class Place:
    """An installation with an older and a newest backup, and how to look at its production."""

    def __init__(self, installation: Installation, source: str, content: Callable[[], Any]) -> None:
        self.installation = installation
        self.source = source
        self.content = content
        self.run("backup", "--label", "newest").ok()
        self.dump = next(self.backups.glob("*-newest.dump"))
        self.good = self.dump.read_bytes()
        self.manifest = manifest_path(self.dump)

    def run(self, *args: str) -> Any:
        return self.installation.run(*args, env={"ARCHON_SOURCE": self.source})

    def site(self) -> Site:
        return self.installation.site(source=self.source)

    @property
    def backups(self) -> Path:
        return self.site().directory.path

    def files(self) -> dict[str, bytes]:
        """What must never change: all files but records, results of checks, and the newest."""
        return {
            path.name: path.read_bytes()
            for path in self.backups.iterdir()
            if path.is_file()
            and not path.name.endswith(".verify.json")
            and path.stem != self.dump.stem
        }

    @contextlib.contextmanager
    def unharmed(self) -> Iterator[None]:
        """Production and the older backups are the same afterwards, and no name has come."""
        content, files = self.content(), self.files()
        yield
        assert self.files() == files
        assert self.content() == content

    @contextlib.contextmanager
    def damaged(self, how: Damage) -> Iterator[None]:
        """The newest dump is something else in the block, and good again behind it."""
        self.dump.write_bytes(how(self.good))
        try:
            yield
        finally:
            self.dump.write_bytes(self.good)


@pytest.fixture(scope="module", params=["embedded", "postgresql-15"])
def place(request: pytest.FixtureRequest, template: Installation) -> Iterator[Place]:
    if request.param == "embedded":
        copy = template.copy()
        try:
            yield Place(copy, "demo", copy.content)
        finally:
            copy.teardown()
        return
    try:
        there = all(map(local_tools(15).has, SERVER_PROGRAMS))
    except PreconditionError:
        there = False
    require(there, "the package postgresql-15")
    with hosting(local_tools(15)) as host:
        made = prepared(host)
        try:
            with copied(made) as direct:
                yield Place(direct.installation, SOURCE, host.content)
        finally:
            made.installation.teardown()


def flipped(offset: int, bits: int = 0xFF) -> Damage:
    def flip(data: bytes) -> bytes:
        return data[:offset] + bytes([data[offset] ^ bits]) + data[offset + 1 :]

    return flip


def cut(size: int) -> Damage:
    return lambda data: data[:size]


def refused_by_all(place: Place) -> list[str]:
    """Verify and restore refuse the newest; what verify found."""
    (result,) = verify.verify(place.site(), "latest")
    assert result.exit_code == ExitCode.UNTRUSTWORTHY, result
    with pytest.raises(UntrustworthyError, match=place.dump.name):
        restore.plan(place.site(), restore.Request("latest"))
    return list(result.problems)


# --- F1, F4, F5: the bytes ---------------------------------------------------------------------


@pytest.mark.slow
def test_a_flipped_bit_anywhere_is_found(place: Place) -> None:
    draw = random.Random(20251217)  # noqa: S311 - the same places every time
    size = len(place.good)
    anywhere = [draw.randrange(size) for _ in range(25)]
    in_the_head = [draw.randrange(5, 60) for _ in range(6)]
    in_the_contents = [draw.randrange(60, min(size, 20_000)) for _ in range(12)]
    with place.unharmed():
        for offset in (*anywhere, *in_the_head, *in_the_contents, size - 1):
            with place.damaged(flipped(offset, 1 << draw.randrange(8))):
                (problem,) = refused_by_all(place)
            assert problem == "checksum: its bytes are not those that were written", offset


@pytest.mark.slow
def test_a_cut_of_any_size_is_found(place: Place) -> None:
    draw = random.Random(4)  # noqa: S311 - the same places every time
    size = len(place.good)
    with place.unharmed():
        for kept in (
            size - 1,
            size // 2,
            4096,
            100,
            5,
            *(draw.randrange(5, size) for _ in "12345"),
        ):
            with place.damaged(cut(kept)):
                (problem,) = refused_by_all(place)
            assert problem == f"size: {kept} bytes on disk, {size} were written"


def test_appended_bytes_are_found(place: Place) -> None:
    with place.unharmed():
        for more in (b"\0", b"x" * 1024):
            with place.damaged(lambda data, more=more: data + more):
                (problem,) = refused_by_all(place)
            assert problem.startswith("size: ")


@pytest.mark.slow
def test_what_the_commands_say_of_a_damaged_backup(place: Place) -> None:
    with place.unharmed(), place.damaged(flipped(len(place.good) // 2)):
        told = error_of(place.run("verify", "latest"), 4)
        assert f"{place.dump.name} cannot be trusted: checksum: " in told
        assert "newest trustworthy: inv restore archon_postgres-" in told
        told = error_of(place.run("restore", "latest", "--scope", "database", "--yes"), 4)
        assert place.dump.name in told
        assert "checksum" in told
        assert "inv verify all" in told
        answer = place.run("verify", "all", "--json").ended(4).json
        assert [b["passed"] for b in answer["backups"]] == [False, True]
        entry = place.run("backups", "--json").ok().json["backups"][0]
        assert (entry["filename"], entry["trust"]) == (place.dump.name, "failed")
    # A restore reads the file itself: that an earlier look failed does not bar the good one.
    place.run("restore", "latest", "--scope", "database", "--yes").ok()
    place.run("verify", "latest").ok()


def test_a_damaged_dump_without_manifest_never_passes_as_proven(place: Place) -> None:
    draw = random.Random(7)  # noqa: S311 - the same places every time
    foreign = place.backups / "theirs.dump"
    try:
        for _ in range(8):
            foreign.write_bytes(flipped(draw.randrange(len(place.good)))(place.good))
            (result,) = verify.verify(place.site(), foreign.name)
            assert result.exit_code in (ExitCode.UNTRUSTWORTHY, ExitCode.INCONCLUSIVE)
        with pytest.raises(UntrustworthyError, match="no manifest"):
            restore.plan(place.site(), restore.Request(foreign.name))
    finally:
        foreign.unlink()


# --- F7: something else under a dump's name ----------------------------------------------------

LOOKS = {
    "an empty file": b"",
    "plain text": b"a note to myself\n",
    "plain SQL text": b"--\n-- PostgreSQL database dump\n--\n\nSET statement_timeout = 0;\n",
    "a file encrypted with gpg": b"\x8c\x0d\x04\x09\x03\x02" + bytes(range(200)),
    "a gzip file": b"\x1f\x8b\x08" + bytes(100),
    "a file of zero bytes": bytes(5000),
}


@pytest.mark.parametrize("what", LOOKS)
@pytest.mark.parametrize("ours", [True, False], ids=["managed", "foreign"])
def test_a_file_of_another_kind_is_called_what_it_is(
    module_installation: Installation, what: str, ours: bool
) -> None:
    latest = module_installation.latest_dump()
    dump = latest if ours else latest.with_name("theirs.dump")
    good, manifest = latest.read_bytes(), manifest_path(latest).read_bytes()
    dump.write_bytes(LOOKS[what])
    try:
        (result,) = verify.verify(module_installation.site(), dump.name)
        with pytest.raises(UntrustworthyError) as caught:
            restore.plan(module_installation.site(), restore.Request(dump.name, trust=True))
    finally:
        latest.write_bytes(good) if ours else dump.unlink()
    for told in (*result.problems, caught.value.message):
        assert "is not a custom-format dump" in told
        assert f"it looks like {what}" in told
    assert caught.value.hint
    assert manifest_path(latest).read_bytes() == manifest


# --- F9: the manifest --------------------------------------------------------------------------


def edited(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        document = json.loads(path.read_bytes())
        change(document)
        path.write_text(json.dumps(document))

    return write


def becomes(data: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(data)

    return write


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


MANIFESTS: dict[str, Callable[[Path], None]] = {
    **{
        f"edited {field}": edited(lambda d, f=field, v=value: d.__setitem__(f, v))
        for field, value in {
            "name": "archon_postgres-20200101_000000.dump",
            "source": "other",
            "snapshot_at": "2031-01-01T00:00:00Z",
            "size_bytes": 5,
            "sha256": "0" * 64,
            "codec": "none",
            "toc_entries": 1,
            "tables": [],
            "inventory": {},
            "roles": [],
            "extensions": [],
            "key": None,
            "not_covered": [" "],
            "snapshot": "1:1:",
            "label": "kept-for-ever",
            "digest": "0" * 64,
            "format": 99,
        }.items()
    },
    "edited rows": edited(lambda d: d["tables"][0].__setitem__("rows", 0)),
    "edited identity": edited(lambda d: d["server"].__setitem__("system_identifier", "1")),
    "no digest": edited(lambda d: d.pop("digest")),
    "more fields": edited(lambda d: d.__setitem__("more", 1)),
    "garbage": becomes(b"\x00\xff not json"),
    "empty": becomes(b""),
    "a list": becomes(b"[]"),
    "deep": becomes(b"[" * 200_000),
    "not a number": becomes(b'{"format": NaN}'),
    "huge": _huge,
    "a pipe": _fifo,
    "a link": _link,
    "a folder": _folder,
}


@contextlib.contextmanager
def doctored(installation: Installation, how: Callable[[Path], None]) -> Iterator[Path]:
    """The newest backup's manifest is something else in the block."""
    path = manifest_path(installation.latest_dump())
    good = path.read_bytes()
    try:
        how(path)
        yield path
    finally:
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        path.unlink(missing_ok=True)
        path.write_bytes(good)


@pytest.mark.parametrize("what", MANIFESTS)
def test_a_manifest_that_cannot_be_believed(module_installation: Installation, what: str) -> None:
    name = module_installation.latest_dump().name
    site = module_installation.site()
    with doctored(module_installation, MANIFESTS[what]):
        (backup,) = site.directory.list()
        assert backup.trust == "failed", backup
        (result,) = verify.verify(site, "latest")
        assert result.exit_code == ExitCode.UNTRUSTWORTHY
        assert result.problems == backup.problems
        assert backup.problems[0].startswith("manifest ")
        with pytest.raises(UntrustworthyError, match="manifest ") as caught:
            restore.plan(site, restore.Request("latest"))
        assert "--trust" in caught.value.hint
        assert name in caught.value.message


def test_a_manifest_of_another_backup(module_installation: Installation) -> None:
    """A second name of the same bytes: only the manifest's own name tells."""
    latest = module_installation.latest_dump()
    twin = latest.with_name("archon_postgres-20300101_000000.dump")
    twin.write_bytes(latest.read_bytes())
    manifest_path(twin).write_bytes(manifest_path(latest).read_bytes())
    try:
        told = error_of(
            module_installation.run("restore", twin.name, "--scope", "database", "--yes"), 4
        )
        assert f"belongs to another backup ({latest.name})" in told
    finally:
        twin.unlink()
        manifest_path(twin).unlink()


@pytest.mark.slow
def test_a_backup_without_manifest_is_listed_and_stays(installation: Installation) -> None:
    installation.run("backup", "--quiet").ok()
    dump = installation.latest_dump()
    manifest_path(dump).unlink()
    entries = installation.run("backups", "--json").ok().json["backups"]
    assert {entry["filename"]: entry["trust"] for entry in entries}[dump.name] == "unmanaged"
    before = installation.content()
    told = error_of(installation.run("restore", dump.name, "--scope", "database", "--yes"), 4)
    assert "has no manifest" in told
    assert "--trust" in told
    assert installation.content() == before
    installation.run("prune", "--retention", "1", "--yes").ok()
    assert dump.exists()


@pytest.mark.slow
@pytest.mark.parametrize("what", ["missing", "garbage", "edited rows"])
def test_trust_restores_it_and_says_what_was_not_proven(
    installation: Installation, what: str
) -> None:
    dump = installation.latest_dump()
    before = installation.content()
    installation.psql("DELETE FROM public.archon_tasks")
    how = MANIFESTS.get(what, Path.unlink)
    with doctored(installation, how):
        done = installation.run(
            "restore", dump.name, "--scope", "database", "--trust", "--yes", "--json"
        ).ended(5)
        human = installation.run(
            "restore", dump.name, "--scope", "database", "--trust", "--yes"
        ).ended(5)
    assert done.json["proof"]["equal"] is False
    assert any("no manifest" in note for note in done.json["proof"]["not_proven"])
    assert "no manifest" in human.stdout + human.stderr
    assert installation.content().tables == before.tables


# --- F11: very many tables ---------------------------------------------------------------------

MAKE_MANY = f"""
DO $$ BEGIN
    CREATE SCHEMA many;
    FOR i IN 1..{MANY_TABLES} LOOP
        EXECUTE format('CREATE TABLE many.t%s AS SELECT %s AS id', i, i);
        IF i % 100 = 0 THEN COMMIT; END IF;
    END LOOP;
END $$"""


@pytest.mark.slow
def test_thousands_of_tables_are_backed_up_and_come_back(installation: Installation) -> None:
    installation.psql(MAKE_MANY)
    before = installation.content()
    installation.run("backup").ok()
    installation.psql("DROP TABLE many.t1, many.t2999")
    done = installation.run("restore", "latest", "--scope", "database", "--yes", "--json").ok()
    assert done.json["proof"]["equal"] is True
    assert installation.content() == before


@pytest.mark.slow
def test_too_many_tables_for_the_server_are_told_beforehand(
    empty_installation: Installation,
) -> None:
    few = {"max_locks_per_transaction": "10", "max_connections": "20"}
    with tempfile.TemporaryDirectory(prefix="pg-", dir=TMP) as folder:
        cluster = Cluster(wheel_tools(), Path(folder) / "c", durable=False, settings=few)
        try:
            cluster.create()
            with cluster.running() as address:
                where = dsn(address, "postgres")
                env = {
                    "ARCHON_SOURCES__LIVE__KIND": "direct",
                    "ARCHON_SOURCES__LIVE__DSN": where,
                    "ARCHON_SOURCE": SOURCE,
                }
                sql = MAKE_MANY.replace("many.t", "public.archon_t").replace(" % 100", " % 10")
                # Just enough: what is foreseen to fit does fit.
                fits = sql.replace(str(MANY_TABLES), "425")
                empty_installation.run("psql", "--command", fits, env=env).ok()
                empty_installation.run("backup", env=env).ok()
                drop = "DROP SCHEMA many CASCADE"
                empty_installation.run("psql", "--command", drop, env=env).ok()
                more = sql.replace("1..", "426..")
                empty_installation.run("psql", "--command", more, env=env).ok()
                told = error_of(empty_installation.run("backup", env=env), 3)
                assert "ALTER SYSTEM SET max_locks_per_transaction = " in told
                backups = empty_installation.root / "backups" / SOURCE
                assert len(list(backups.glob("*.dump"))) == 1
        finally:
            cluster.remove()
