"""The server inside a recovery sandbox: started, asked and stopped by its own programs there."""

from __future__ import annotations

from psycopg import conninfo

from archon_ops.errors import OpsError, PreconditionError, UntrustworthyError
from archon_ops.hosts.described import Container
from archon_ops.hosts.engine import Engine
from archon_ops.hosts.process import Finished
from archon_ops.model.pitr.recovery import complaint, options, server_settings, timeline
from archon_ops.postgres import container as containers
from archon_ops.postgres import databases
from archon_ops.postgres.container_programs import find_programs
from archon_ops.postgres.pitr.pgbackrest import InContainer

ROOM = "/var/lib/archon_ops"
DATA = f"{ROOM}/data"
SOCKETS = "/var/run/postgresql"
HBA = f"{ROOM}/pg_hba.conf"
CONF = f"{ROOM}/postgresql.conf"
ANSWER_SECONDS = 60.0
_LOG = f"{ROOM}/server.log"


class MissedError(UntrustworthyError):
    """The archive ended before the recovery came to where it should stop."""


class Inside:
    """That server; its files may come and go while it is stopped.

    Args:
        engine: where its container is.
        container: the sandbox.
        host: the same as the user who owns PostgreSQL's files.
        role: who is asked for the superuser's name; empty: the container's own user.
        seconds: how long a start, and an answer, may take.
        data: its data directory.
    """

    def __init__(
        self,
        engine: Engine,
        container: Container,
        host: InContainer,
        role: str,
        seconds: float,
        data: str = DATA,
    ) -> None:
        self._engine = engine
        self._container = container
        self._host = host
        self._role = role or container.environment.get("POSTGRES_USER") or "postgres"
        self._seconds = seconds
        self._data = data
        self._superuser: str | None = None
        self.folder, self.version = find_programs(engine, container)

    @property
    def major(self) -> int:
        """Major version of the image's PostgreSQL."""
        return int(self.version.partition(".")[0])

    @property
    def timeline(self) -> int:
        """The timeline that the cluster is on."""
        return timeline(self.control())

    def program(self, name: str) -> str:
        """One of PostgreSQL's programs inside."""
        return f"{self.folder}/{name}" if self.folder else name

    def start(self, **target: str) -> None:
        """Start it, told by us all that it is told.

        Args:
            target: recovery settings instead of those that the restore wrote.

        Raises:
            OpsError: it does not start; says why.
        """
        settings = server_settings(
            self.control(),
            self.major,
            config_file=CONF,
            hba_file=HBA,
            listen_addresses="*",
            port=str(containers.PORT),
            unix_socket_directories=SOCKETS,
            **target,
        )
        self._host.write(_LOG, b"")
        self._pg_ctl("start", f"--log={_LOG}", f"--options={options(settings)}")

    def stop(self) -> None:
        """Stop it; its files stay."""
        self._pg_ctl("stop", "--mode=fast")

    def settle(self) -> None:
        """Stop it for good, with all that it wrote on disk: it was never made to wait for that."""
        self.stop()
        argv = (self.program("initdb"), "--sync-only", f"--pgdata={self._data}")
        require(self._host.run(argv, timeout=self._seconds), "writing all of it to disk")

    def control(self) -> str:
        """What pg_controldata says of the cluster."""
        argv = (self.program("pg_controldata"), f"--pgdata={self._data}")
        done = self._host.run(argv, timeout=ANSWER_SECONDS)
        require(done, "reading the cluster's control file")
        return done.stdout

    def log(self) -> str:
        """What it wrote since it was started."""
        return (self._host.read(_LOG) or b"").decode(errors="replace")

    def ask(self, query: str, database: str = databases.MAINTENANCE) -> str:
        """What the cluster's first superuser is answered, one line a row.

        Args:
            query: any number of statements.
            database: where.

        Raises:
            OpsError: it is refused, or the server is gone; says why.
        """
        done = self._psql(query, database, self._first_superuser())
        if done.returncode != 0:
            raise OpsError(f"the sandbox refuses: {done.reason}", "run the command again")
        return done.stdout.strip()

    def recovered(self) -> bool:
        """Whether the recovery has come to its end, or waits there.

        Raises:
            OpsError: the server has given up; says why.
        """
        query = "SELECT NOT pg_catalog.pg_is_in_recovery() OR pg_catalog.pg_is_wal_replay_paused()"
        try:
            return self.ask(query) == "t"
        except OpsError:  # it does not answer yet, or never will
            self._pg_ctl("status")
            return False

    def _first_superuser(self) -> str:
        """The role that initdb made: whatever its name, its number is 10."""
        if self._superuser is None:
            query = "SELECT rolname FROM pg_catalog.pg_roles WHERE oid = 10"
            done = self._psql(query, databases.MAINTENANCE, self._role)
            require(done, "asking for the superuser's name")
            self._superuser = done.stdout.strip()
        return self._superuser

    def _psql(self, query: str, database: str, role: str) -> Finished:
        where = conninfo.make_conninfo(user=role, dbname=database, host=SOCKETS)
        argv = (
            self.program("psql"),
            *("-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", f"--dbname={where}"),
        )
        return self._engine.run(
            self._container.id,
            argv,
            timeout=self._seconds,
            stdin=query.encode(),
            user=self._host.user,
        )

    def _pg_ctl(self, command: str, *args: str) -> None:
        argv = (self.program("pg_ctl"), command, f"--pgdata={self._data}", *args)
        wait = () if command == "status" else ("--wait", f"--timeout={round(self._seconds)}")
        done = self._host.run((*argv, *wait), timeout=self._seconds + ANSWER_SECONDS)
        if done.returncode != 0:
            raise self._given_up()

    def _given_up(self) -> OpsError:
        """Why the server is not there."""
        log = self.log()
        why = complaint(log)
        if "before configured recovery target" in why:
            return MissedError(
                f"the archive ends before the moment: {_segment_missed(log)}",
                "inv pitr.list says what can be restored; inv pitr.verify names what is damaged",
            )
        if "incompatible with server" in log:
            return PreconditionError(
                f"the backup is of another major version than the image's {self.version}",
                "bring the image of that version back beside this one, and name its container",
            )
        return OpsError(
            f"the recovered server does not run: {why}",
            "inv pitr.verify reads the whole repository",
        )


def require(done: Finished, doing: str) -> None:
    """Raises OpsError where a program in the sandbox failed; `doing` says what it was for."""
    if done.returncode != 0:
        raise OpsError(f"{doing} in the sandbox failed: {done.reason}", "docker ps -a")


def _segment_missed(log: str) -> str:
    """The last thing that pgBackRest said of the archive, where it complained."""
    errors = [line for line in log.splitlines() if "ERROR: [" in line]
    return complaint("\n".join(errors)) if errors else "WAL after it was never archived"
