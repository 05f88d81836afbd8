"""Canaries for every secret: none may be seen outside of the files that people put them in."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest

from archon_ops.errors import PreconditionError
from archon_ops.postgres.tools import SERVER_PROGRAMS, local_tools
from tests.direct import DATABASE, SOURCE, Direct, Host, hosting
from tests.faults.test_backup_interrupted import PG_DUMP_WAITS
from tests.support import Completed, Installation, require, wait_until

pytestmark = pytest.mark.slow

# Other tests have canaries as well, and their processes run meanwhile.
_OURS = secrets.token_hex(4)
DSN_WORD = f"cana-ry-DSN-{_OURS}"
ENV_WORD = f"cana-ry-ENV-{_OURS}"
WRONG_WORD = f"cana-ry-WRONG-{_OURS}"
KEY_WORD = f"cana-ry-KEY-{_OURS}"
SERVICE_WORD = f"cana-ry-SERVICE-{_OURS}"
SECRETS = (DSN_WORD, ENV_WORD, WRONG_WORD, KEY_WORD, SERVICE_WORD)
# As awkward as a password may be for a password file and a connection string.
DSN_PASSWORD = f"{DSN_WORD}:pa ss\\word'\"%@/$(id)"
ENV_PASSWORD = f"{ENV_WORD}\\:' x"
TOOLS = {"pg_dump", "pg_restore", "psql"}
SLOW_PSQL = ("psql", "--command", "SELECT pg_sleep(0.3)")
HBA = "local all postgres trust\nlocal all all scram-sha-256\n"
ROLES = """
CREATE ROLE by_dsn SUPERUSER LOGIN PASSWORD {};
CREATE ROLE by_env SUPERUSER LOGIN PASSWORD {};
"""


class Watch:
    """Reads the arguments and environments of all processes, again and again.

    Attributes:
        seen: where a canary was seen.
        programs: names of the tools that the command ran meanwhile.
    """

    def __init__(self, root: Path) -> None:
        self.seen: set[str] = set()
        self.programs: set[str] = set()
        self._root = root
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)

    def look(self) -> None:
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                argv = (process / "cmdline").read_bytes()
                self._search(f"arguments {argv!r}", argv)
                words = argv.split(b"\0")
                if b"invoke" in words[:4]:
                    continue  # the command itself was given them; so is a fork before its exec
                environment = (process / "environ").read_bytes()
                if (process / "cmdline").read_bytes() != argv:
                    continue  # it became another program in between, as a command does
                name = Path(words[0].decode(errors="replace")).name
                if name in TOOLS and (process / "cwd").readlink().is_relative_to(self._root):
                    self.programs.add(name)
                self._search(f"environment of {argv!r}", environment)

    def _watch(self) -> None:
        while not self._over.is_set():
            self.look()
            time.sleep(0.001)

    def _search(self, where: str, data: bytes) -> None:
        self.seen.update(f"{word} in {where}" for word in SECRETS if word.encode() in data)


def until_seen(watch: Watch, run: Callable[..., Completed]) -> list[Completed]:
    """Run tools again until each was seen: where much else runs, one may end between two looks."""
    done = []

    def again() -> bool:
        for task in (("backup",), ("verify", "latest", "--restore"), SLOW_PSQL):
            if not watch.programs >= TOOLS:
                done.append(run(*task).ok())
        return watch.programs >= TOOLS

    wait_until(again, 120, f"all of {TOOLS} were seen")
    return done


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    try:
        there = all(map(local_tools(15).has, SERVER_PROGRAMS))
    except PreconditionError:
        there = False
    require(there, "the package postgresql-15")
    with hosting(local_tools(15), {"pg_hba.conf": HBA}) as host:
        literal = "'{}'".format
        words = (literal(w.replace("'", "''")) for w in (DSN_PASSWORD, ENV_PASSWORD))
        host.execute(ROLES.format(*words), "template1")
        yield host


@pytest.fixture
def direct(host: Host) -> Iterator[Direct]:
    host.reset()
    made = Direct(host, Installation.make())
    made.configure(dsn_of(host, "by_dsn", DSN_PASSWORD))
    (made.installation.root / ".env").write_text(
        f"ENCRYPTION_KEY={KEY_WORD}\nSUPABASE_SERVICE_KEY={SERVICE_WORD}\n"
    )
    try:
        yield made
    finally:
        made.installation.teardown()


def dsn_of(host: Host, role: str, password: str | None = None) -> str:
    word = "" if password is None else f":{quote(password, safe='')}"
    return f"postgresql://{role}{word}@127.0.0.1:{host.proxy.port}/{DATABASE}"


def assert_nowhere(direct: Direct, *done: Completed) -> None:
    """No canary in what was said, nor in any file but those that it was configured in."""
    for one in done:
        for word in SECRETS:
            assert word not in one.stdout + one.stderr, one
    given = {direct.installation.root / name for name in ("archon.toml", ".env")}
    files = [p for p in direct.installation.root.rglob("*") if p.is_file() and p not in given]
    for path in files:
        data = path.read_bytes()
        assert [word for word in SECRETS if word.encode() in data] == [], path
    assert list(direct.installation.temporary.iterdir()) == []


def test_no_secret_leaves_us_while_all_goes_well(host: Host, direct: Direct) -> None:
    done = []
    with Watch(direct.installation.root) as watch:
        for task in (
            ("backup", "--verbose"),
            ("backup", "--json", "--verbose"),
            ("verify", "latest", "--restore", "--verbose"),
            ("restore", "latest", "--yes", "--verbose"),
            ("restore", "latest", "--yes", "--json"),
            ("undo", "--yes", "--verbose"),
            ("status", "--json", "--verbose"),
            ("backups", "--json"),
            ("prune", "--retention", "1", "--yes", "--verbose"),
            SLOW_PSQL,
        ):
            done.append(direct.run(*task).ok())
        done += until_seen(watch, direct.run)
    assert watch.seen == set()
    assert_nowhere(direct, *done)


def test_no_secret_of_the_environment_reaches_a_tool(host: Host, direct: Direct) -> None:
    direct.configure(dsn_of(host, "by_env"))
    (direct.installation.root / ".env").unlink()
    env = {
        f"ARCHON_SOURCES__{SOURCE.upper()}__PASSWORD": ENV_PASSWORD,
        "ENCRYPTION_KEY": KEY_WORD,
        "SUPABASE_SERVICE_KEY": SERVICE_WORD,
    }
    with Watch(direct.installation.root) as watch:
        patient = {**env, "ARCHON_DEADLINES__LOCK": "300"}
        run = direct.spawn("backup", "--verbose", pause_at="backup.dump", env=patient)
        run.wait_paused("backup.dump")
        with host.locking("n8n.workflow"):  # while pg_dump waits there is time to look at it
            run.go_on()
            wait_until(lambda: host.execute(PG_DUMP_WAITS), 60, "pg_dump waits")
            wait_until(lambda: "pg_dump" in watch.programs, 60, "pg_dump was seen")
            watch.look()
        done = [run.finish().ok()]
        for task in (
            ("restore", "latest", "--yes", "--verbose"),
            ("verify", "latest", "--restore", "--json"),
            SLOW_PSQL,
        ):
            done.append(direct.run(*task, env=env).ok())
        done += until_seen(watch, partial(direct.run, env=env))
    assert watch.seen == set()
    assert_nowhere(direct, *done)


def test_a_killed_command_leaves_no_password_behind(direct: Direct) -> None:
    run = direct.spawn("backup", pause_at="backup.dump")
    run.wait_paused("backup.dump")
    run.kill()
    left = [p for p in direct.installation.root.rglob("*") if p.is_file()]
    given = [direct.installation.root / name for name in ("archon.toml", ".env")]
    for path in left:
        if path not in given:
            assert DSN_WORD.encode() not in path.read_bytes(), path
    assert list(direct.installation.temporary.iterdir()) == []


TASKS = (("backup",), ("restore", "latest", "--yes"), ("undo", "--yes"), ("psql", "--command", "x"))


@pytest.mark.parametrize("what", ["wrong", "unreachable", "no database", "no host"])
def test_no_secret_is_told_with_an_error(host: Host, direct: Direct, what: str) -> None:
    if what == "wrong":
        direct.run("backup").ok()  # else there is nothing to restore
    port = host.proxy.port
    direct.configure(
        {
            "wrong": dsn_of(host, "by_dsn", WRONG_WORD),
            "unreachable": f"postgresql://by_dsn:{WRONG_WORD}@127.0.0.1:1/{DATABASE}",
            "no database": dsn_of(host, "by_dsn", DSN_PASSWORD).replace(DATABASE, "missing"),
            "no host": f"postgresql://by_dsn:{WRONG_WORD}@no-such-host.invalid:{port}/{DATABASE}",
        }[what]
    )
    done = []
    with Watch(direct.installation.root) as watch:
        for task in TASKS if what == "wrong" else TASKS[:1]:
            done.append(direct.run(*task, "--verbose").ended(3))
        done.append(direct.run("backup", "--verbose", "--json").ended(3))
    assert watch.seen == set()
    assert_nowhere(direct, *done)


MALFORMED = {
    "no value": f"host=127.0.0.1 password={WRONG_WORD} port",
    "two signs": f"postgresql://u:a@{WRONG_WORD}@127.0.0.1:5432/x",
    "a bad port": f"postgresql://u:{WRONG_WORD}@127.0.0.1:port/x",
    "a huge port": f"postgresql://u:{WRONG_WORD}@127.0.0.1:99999999/x",
    "a bad escape": f"postgresql://u:%zz{WRONG_WORD}@127.0.0.1:5432/x",
    "an unknown keyword": f"host=127.0.0.1 pasword={WRONG_WORD}",
    "an open quote": f"host=127.0.0.1 password='{WRONG_WORD}",
    "only a word": WRONG_WORD,
    "a bracket": f"postgresql://u:{WRONG_WORD}@[::1/x",
    "a passphrase": f"host=127.0.0.1 sslpassword={WRONG_WORD}",
    "a line end": f"host=127.0.0.1 user=u password='{WRONG_WORD}\\nx'",
}


@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_dsn_is_not_repeated(empty_installation: Installation, what: str) -> None:
    direct = Direct.__new__(Direct)  # no server is needed
    direct.installation = empty_installation
    direct.configure(MALFORMED[what])
    for flags in (("--verbose",), ("--json",)):
        done = direct.run("backup", *flags)
        assert done.returncode in (2, 3), done
        assert "this is a bug" not in done.stdout + done.stderr
        assert_nowhere(direct, done)


LINES = {
    "an open quote": f'password = "{WRONG_WORD}',
    "no quotes": f"password = {WRONG_WORD}",
    "behind the end": f'password = "x" {WRONG_WORD}',
    "a bad escape": f'password = "\\{WRONG_WORD}"',
    "no sign": f"password {WRONG_WORD}",
    "a wrong type": f'password = ["{WRONG_WORD}"]',
    "a typing error": f'pasword = "{WRONG_WORD}"',
    "twice": f'password = "{WRONG_WORD}"\npassword = "{WRONG_WORD}"',
    "a wrong kind": f'password = "{WRONG_WORD}"\nport = 5432',
}


@pytest.mark.parametrize("what", LINES)
def test_a_malformed_file_is_named_with_its_line_and_not_repeated(
    empty_installation: Installation, what: str
) -> None:
    root = empty_installation.root
    (root / "archon.toml").write_text(f'[sources.live]\nkind = "direct"\n{LINES[what]}\n')
    for flags in (("--verbose",), ("--json",)):
        done = empty_installation.run("status", "--source", "live", *flags).ended(2)
        told = done.json["error"]["message"] if "--json" in flags else done.stderr
        assert f"{root / 'archon.toml'}:" in told, done
        line = int(told.partition("archon.toml:")[2].partition(":")[0])
        assert line in (3, 4), done
        assert WRONG_WORD not in done.stdout + done.stderr
