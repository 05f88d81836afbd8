"""A source's server together with the pgBackRest that works beside it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

import psycopg

from archon_ops.actions.pitr.here import confirmed, require_here
from archon_ops.errors import PreconditionError
from archon_ops.hosts.described import USUAL_DATA
from archon_ops.model.pitr.config import S3, Config, Repository
from archon_ops.model.pitr.labels import Window
from archon_ops.model.pitr.stock import Stock
from archon_ops.postgres.pitr.pgbackrest import Host, InContainer, OnThisMachine, PgBackRest
from archon_ops.postgres.pitr.wal import restorable
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import Connection, scalar
from archon_ops.settings import PitrSettings, RepositorySettings
from archon_ops.site import Site
from archon_ops.storage import pitr as kept


@dataclass(frozen=True)
class Reached:
    """What actions on point-in-time recovery work with.

    Attributes:
        server: the source's.
        backrest: pgBackRest, on the host of the server's files.
        config: what its configuration has to say.
    """

    server: Server
    backrest: PgBackRest
    config: Config

    @property
    def pg_waldump(self) -> str:
        """The program of the server's own version, on that host."""
        return program(self.server, "pg_waldump")


def program(server: Server, name: str) -> str:
    """A program of the server's own version, on the host of its files."""
    folder = str(getattr(server.programs, "folder", ""))
    tools = getattr(server.programs, "tools", None)
    if tools is not None:
        folder = str(tools.folder)
    return f"{folder}/{name}" if folder else name


def configured(site: Site) -> PitrSettings:
    """The source's settings of it.

    Raises:
        PreconditionError: there are none, or its kind cannot have it.
    """
    found = site.source.pitr
    if site.source.kind == "embedded":
        raise PreconditionError(
            f"source {site.name} is a PostgreSQL of our own, which ends with the last command: it "
            "archives no WAL",
            "point-in-time recovery is for sources of kind container or direct",
        )
    if not found.repositories:
        raise PreconditionError(
            f"source {site.name} has no repository for point-in-time recovery",
            f'in archon.toml: [sources.{site.name}.pitr.repo1] url = "/var/lib/pgbackrest"',
        )
    return found


@contextlib.contextmanager
def reached(site: Site) -> Iterator[Reached]:
    """The server and its pgBackRest, for the length of the block.

    Raises:
        PreconditionError: it is not configured, the server cannot be reached, or it runs on
            another machine.
    """
    settings = configured(site)
    if site.source.kind == "direct":
        require_here(site)
    host = host_of(site)
    with site.server() as server:
        config = config_of(site, server, host)
        if site.source.kind == "direct":
            config = confirmed(site, server, host, config, program(server, "psql"))
        yield Reached(server, PgBackRest(host, config.stanza, settings.config), config)


def host_of(site: Site) -> Host:
    """Where the server's files are.

    Raises:
        PreconditionError: its container does not run.
    """
    user = site.source.pitr.user
    if site.source.kind != "container":
        return OnThisMachine(user)
    from archon_ops.postgres.container import locate

    engine = site.engine
    return InContainer(engine, locate(engine, site.source.container), user)


def config_of(site: Site, server: Server, host: Host) -> Config:
    """What pgBackRest's configuration has to say of this server."""
    settings = configured(site)
    environment = host.container.environment if isinstance(host, InContainer) else {}
    with server.connect(site.database) as connection:
        data = _setting(connection, "data_directory") or environment.get("PGDATA") or USUAL_DATA
        sockets = _setting(connection, "unix_socket_directories") or ""
        port = int(scalar(connection, "SELECT current_setting('port')"))
    return Config(
        stanza=stanza_of(site),
        data_folder=data,
        repositories=repositories(settings),
        socket_folder=settings.socket_folder or sockets.split(",")[0].strip(),
        port=port,
        user=settings.role or environment.get("POSTGRES_USER") or site.source.user or settings.user,
        database=site.database,
        process_max=settings.process_max,
        compress=settings.compress,
        asynchronous=settings.asynchronous,
        queue_max=settings.queue_max,
        spool=settings.spool,
    )


def stanza_of(site: Site) -> str:
    """What pgBackRest calls the server of the source."""
    return site.source.pitr.stanza or site.name


def repositories(settings: PitrSettings) -> tuple[Repository, ...]:
    """The repositories as pgBackRest is told of them."""
    return tuple(_repository(n, one, settings) for n, one in settings.repositories.items())


def ca_file(number: int, settings: PitrSettings) -> str:
    """Where a repository's certificate authority is put, on the database's host."""
    return str(PurePosixPath(settings.config).parent / f"repo{number}-ca.crt")


def window(site: Site, at: Reached, stock: Stock, archived: str | None) -> Window:
    """The times that can be restored: from the oldest backup's end to the last archived commit.

    Args:
        site: the source.
        at: its server.
        stock: what belongs to the branch that is asked about.
        archived: what `last_archived` said before that was asked for; None where it is not the
            server's own branch.

    Raises:
        OpsError: the archive cannot be read.
    """
    before = kept.recall(site.directory)
    known = before.holes if before and before.stanza == stock.stanza else ()
    return restorable(
        at.backrest,
        at.pg_waldump,
        stock,
        segment_bytes(site, at),
        site.run_id,
        archived=archived,
        known={hole.gap: hole.since for hole in known},
    )


def last_archived(site: Site, at: Reached) -> str | None:
    """The last segment that the server takes for archived; None where it has none."""
    query = "SELECT last_archived_wal FROM pg_catalog.pg_stat_archiver"
    with at.server.connect(site.database) as connection:
        found = scalar(connection, query)
    return str(found) if found else None


def segment_bytes(site: Site, at: Reached) -> int:
    """Size of the server's WAL segments."""
    query = "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_segment_size'"
    with at.server.connect(site.database) as connection:
        return int(scalar(connection, query))


def _setting(connection: Connection, name: str) -> str | None:
    """A setting of the server; None where the role may not see it."""
    try:
        return str(scalar(connection, "SELECT current_setting(%s)", name))
    except psycopg.errors.InsufficientPrivilege:
        return None


def _repository(number: int, found: RepositorySettings, settings: PitrSettings) -> Repository:
    bucket, _, folder = found.url.removeprefix("s3://").partition("/")
    is_s3 = found.url.startswith("s3://")
    s3 = S3(
        bucket=bucket,
        endpoint=found.endpoint,
        region=found.region,
        path_style=found.path_style,
        port=found.port,
        verify_tls=found.verify_tls,
        ca_file=ca_file(number, settings) if found.ca_file else "",
        access_key=found.access_key.get_secret_value(),
        secret_key=found.secret_key.get_secret_value(),
    )
    return Repository(
        number=number,
        path=f"/{folder}" if is_s3 else found.url,
        s3=s3 if is_s3 else None,
        cipher_pass=found.cipher_pass.get_secret_value(),
        retention_full=found.retention_full,
        retention_diff=found.retention_diff,
        bundle=found.bundle,
        block=found.block,
    )
