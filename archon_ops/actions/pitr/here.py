"""A source behind a DSN whose server runs on this very machine, with pgBackRest beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

from archon_ops.errors import PreconditionError
from archon_ops.hosts.addresses import is_this_machine
from archon_ops.model.pitr.config import Config
from archon_ops.postgres import facts
from archon_ops.postgres.direct import parse_dsn
from archon_ops.postgres.pitr.at_host import AtHost
from archon_ops.postgres.pitr.pgbackrest import Host
from archon_ops.postgres.server import Server
from archon_ops.site import Site

_SECONDS = 60.0
_SOCKETS = "/var/run/postgresql"  # where PostgreSQL's programs of Debian and Red Hat look


def require_here(site: Site) -> None:
    """Refuse a server that surely runs on another machine, without asking it.

    Raises:
        PreconditionError: it does; says where the command has to be run.
    """
    parts = parse_dsn(site.source.dsn.get_secret_value())
    hosts = (parts.get("hostaddr") or parts.get("host", "")).split(",")
    for host in hosts:
        if not is_this_machine(host):
            raise PreconditionError(
                f"the server of source {site.name} is on {host}, and pgBackRest has to run where "
                "the data directory is",
                f"run inv on {host}, with a source there whose dsn is postgresql:///"
                f"{site.database}?host={_SOCKETS}",
            )


def confirmed(site: Site, server: Server, host: Host, config: Config, psql: str) -> Config:
    """The configuration, once it is certain that the DSN leads to the server that is here.

    Args:
        site: where.
        server: as the DSN reaches it.
        host: this machine.
        config: as far as the DSN's role could tell.
        psql: the program.

    Returns:
        The same with the data directory as the server tells pgBackRest's role.

    Raises:
        PreconditionError: it runs elsewhere, or another one answers on the socket here.
    """
    folder = config.socket_folder or _SOCKETS
    socket = PurePosixPath(folder) / f".s.PGSQL.{config.port}"
    if host.run(("test", "-S", str(socket)), timeout=_SECONDS).returncode != 0:
        raise PreconditionError(
            f"the server behind the dsn of source {site.name} is not on this machine itself: there "
            f"is no socket {socket}",
            'of a container: kind = "container"; at the end of a tunnel: run inv on that machine; '
            "else set pitr.socket_folder",
        )
    identity, data = (
        AtHost(host, psql, config)
        .ask(
            "SELECT system_identifier FROM pg_catalog.pg_control_system()",
            "SELECT pg_catalog.current_setting('data_directory')",
        )
        .splitlines()
    )
    with server.connect(site.database) as connection:
        meant = facts.system_identifier(connection)
    if identity != meant:
        raise PreconditionError(
            f"the dsn of source {site.name} leads to server {meant}, and over the socket {socket} "
            f"of this machine answers server {identity}: that is another one",
            'of a container: kind = "container"; at the end of a tunnel: run inv on that machine; '
            "else set pitr.socket_folder",
        )
    return replace(config, data_folder=data)
