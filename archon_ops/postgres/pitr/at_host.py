"""SQL as the role that pgBackRest uses: over the socket on the server's own host, by psql there.

The source's role need not be a superuser, and on Supabase it is not; backups of a cluster want one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from archon_ops.errors import OpsError, PreconditionError
from archon_ops.model.pitr.config import Config
from archon_ops.postgres.pitr.pgbackrest import Host

_SECONDS = 60.0


@dataclass(frozen=True)
class AtHost:
    """A server, asked from its own host.

    Attributes:
        host: where psql runs.
        psql: the program there.
        config: knows role, socket and port.
    """

    host: Host = field(repr=False)
    psql: str
    config: Config

    def ask(self, *statements: str) -> str:
        """What psql prints, unaligned; each statement is a transaction of its own.

        Raises:
            PreconditionError: the role cannot get in there.
            OpsError: the server refused a statement.
        """
        where = ("--port", str(self.config.port), "--dbname", self.config.database)
        socket = ("--host", self.config.socket_folder) if self.config.socket_folder else ()
        role = ("--username", self.config.user) if self.config.user else ()
        flags = ("-X", "-q", "-A", "-t", "--no-password", "--set=ON_ERROR_STOP=1")
        wanted = [word for text in statements for word in ("--command", text)]
        argv = (self.psql, *flags, *where, *socket, *role, *wanted)
        done = self.host.run(argv, timeout=_SECONDS)
        if done.returncode == 2:  # psql's own for a connection that failed
            raise PreconditionError(
                f"role {self.config.user} cannot reach the server over its socket "
                f"{self.host.there}: {done.reason}",
                "set pitr.role to a superuser that pg_hba.conf lets in there (local … trust, peer)",
            )
        if done.returncode in (126, 127):
            raise PreconditionError(
                f"PostgreSQL's user cannot run {self.psql} {self.host.there}: {done.reason}",
                "install the system's package of PostgreSQL's programs, of the server's version",
            )
        if done.returncode != 0:
            raise OpsError(f"the server {self.host.there} refused: {done.reason}")
        return done.stdout.strip()
