"""The server inside a recovery sandbox: started, asked and stopped by its own programs there."""

from __future__ import annotations

import re
from dataclasses import dataclass

from psycopg import conninfo

from archon_ops.errors import OpsError, PreconditionError, UntrustworthyError
from archon_ops.hosts.process import Finished
from archon_ops.model.pitr.config import NAME
from archon_ops.model.pitr.recovery import complaint, options, server_settings, timeline
from archon_ops.postgres import databases
from archon_ops.postgres.pitr.pgbackrest import Host

ANSWER_SECONDS = 60.0
# Of the server inside; where no TCP is spoken it only names the socket.
PORT = 5432


class MissedError(UntrustworthyError):
    """The archive ended before the recovery came to where it should stop."""


@dataclass(frozen=True)
class Layout:
    """Where the things of a sandbox lie, as its host sees them.

    Attributes:
        room: its folder; all but the sockets is in it.
        sockets: folder of the server's socket.
        addresses: that the server listens at besides; empty: nowhere.
        elsewhere: folders, one in the other, of which the last is the data directory; empty: that
            is in the room.
        wal_megabytes: of WAL that the server may gather before its files have to do without.
    """

    room: str
    sockets: str
    addresses: str = ""
    elsewhere: tuple[str, ...] = ()
    wal_megabytes: int = 4096

    @property
    def data(self) -> str:
        """PostgreSQL's data directory."""
        return self.elsewhere[-1] if self.elsewhere else f"{self.room}/data"

    @property
    def folders(self) -> tuple[str, ...]:
        """All that have to be made."""
        return (self.room, *(self.elsewhere or (self.data,)), self.sockets)

    @property
    def backrest(self) -> str:
        """Configuration of pgBackRest."""
        return f"{self.room}/{NAME}"

    @property
    def conf(self) -> str:
        """The server's configuration: an empty file."""
        return f"{self.room}/postgresql.conf"

    @property
    def hba(self) -> str:
        """Who is let in."""
        return f"{self.room}/pg_hba.conf"

    @property
    def log(self) -> str:
        """What the server wrote since it was started."""
        return f"{self.room}/server.log"


class Inside:
    """That server; its files may come and go while it is stopped.

    Args:
        host: where it runs, as the user who owns PostgreSQL's files.
        layout: where its things are there.
        programs: folder (empty: on PATH) and version of PostgreSQL's programs there.
        role: who is asked for the superuser's name.
        seconds: how long a start, and an answer, may take.
    """

    def __init__(
        self, host: Host, layout: Layout, programs: tuple[str, str], *, role: str, seconds: float
    ) -> None:
        self._host = host
        self._layout = layout
        self._role = role
        self._seconds = seconds
        self._superuser: str | None = None
        self.folder, self.version = programs

    @property
    def major(self) -> int:
        """Major version of the PostgreSQL there."""
        return int(self.version.partition(".")[0])

    @property
    def timeline(self) -> int:
        """The timeline that the cluster is on."""
        return timeline(self.control())

    @property
    def data(self) -> str:
        """The data directory of the server inside."""
        return self._layout.data

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
            self._layout.wal_megabytes,
            config_file=self._layout.conf,
            hba_file=self._layout.hba,
            listen_addresses=self._layout.addresses,
            port=str(PORT),
            unix_socket_directories=self._layout.sockets,
            **target,
        )
        log = self._layout.log
        self._host.write(log, b"")
        self._pg_ctl("start", f"--log={log}", f"--options={options(settings)}")

    def drop(self) -> None:
        """Stop it as it stands; started again, it replays from where it last was consistent.

        A recovery that waits looks up only once a second: asked to end well, it would take so long.
        """
        self._pg_ctl("stop", "--mode=immediate")

    def abort(self) -> None:
        """End it at once, whatever becomes of its files."""
        self._pg_ctl("stop", "--mode=immediate")

    def settle(self) -> None:
        """Stop it for good, with all that it wrote on disk: it was never made to wait for that."""
        self._pg_ctl("stop", "--mode=fast")
        argv = (self.program("initdb"), "--sync-only", f"--pgdata={self._layout.data}")
        require(self._host.run(argv, timeout=self._seconds), "writing all of it to disk")

    def control(self) -> str:
        """What pg_controldata says of the cluster."""
        argv = (self.program("pg_controldata"), f"--pgdata={self._layout.data}")
        done = self._host.run(argv, timeout=ANSWER_SECONDS)
        require(done, "reading the cluster's control file")
        return done.stdout

    def log(self) -> str:
        """What it wrote since it was started."""
        return (self._host.read(self._layout.log) or b"").decode(errors="replace")

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
        where = conninfo.make_conninfo(
            user=role, dbname=database, host=self._layout.sockets, port=PORT
        )
        argv = (
            self.program("psql"),
            *("-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", f"--dbname={where}"),
        )
        return self._host.run(argv, timeout=self._seconds, stdin=query.encode())

    def _pg_ctl(self, command: str, *args: str) -> None:
        argv = (self.program("pg_ctl"), command, f"--pgdata={self._layout.data}", *args)
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
        if "could not restore file" in log:
            return OpsError(
                f"the archive does not give WAL back, asked again and again: {_said(log)}",
                "is the repository reachable? inv pitr.verify reads all of it",
            )
        if "incompatible with server" in log:
            return PreconditionError(
                f"the backup is of another major version than PostgreSQL {self.version} "
                f"{self._host.there}",
                "bring PostgreSQL of that version back beside this one: a container's image is "
                "named by container, in archon.toml",
            )
        return OpsError(
            f"the recovered server does not run: {why}",
            "inv pitr.verify reads the whole repository",
        )


def require(done: Finished, doing: str) -> None:
    """Raises OpsError where a program in the sandbox failed; `doing` says what it was for."""
    if done.returncode != 0:
        raise OpsError(f"{doing} in the sandbox failed: {done.reason}", "run the command again")


def _said(log: str) -> str:
    """What pgBackRest said of a repository, in the most telling of its lines."""
    told = re.findall(r"(?:WARN|ERROR|DETAIL): +(?:\[\d+\]: )?(repo\d+: .+)", log)
    return told[-1] if told else complaint(log)


def _segment_missed(log: str) -> str:
    """The last thing that pgBackRest said of the archive, where it complained."""
    errors = [line for line in log.splitlines() if "ERROR: [" in line]
    return complaint("\n".join(errors)) if errors else "WAL after it was never archived"
