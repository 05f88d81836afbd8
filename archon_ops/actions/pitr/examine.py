"""What a server has, and what it lacks, for point-in-time recovery."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from archon_ops.actions.pitr.lacking import lacking_on, remedy, version_on
from archon_ops.actions.pitr.reach import Reached, ca_file, configured, program
from archon_ops.errors import OpsError, PreconditionError
from archon_ops.model.pitr.changes import NAMES, archive_command, changes
from archon_ops.model.pitr.config import fitting, masked, render, size_of
from archon_ops.model.pitr.plan import SetupPlan
from archon_ops.model.pitr.stock import Stock
from archon_ops.model.plan import target_of
from archon_ops.postgres.pitr.at_host import AtHost
from archon_ops.postgres.pitr.pgbackrest import PROGRAM, InContainer, free_bytes
from archon_ops.site import Site
from archon_ops.storage.explain import explained

_SECONDS = 60.0
_SHARING = """
SELECT coalesce(datname, '-') || ': ' || count(*) || ' sessions'
       || coalesce(' of ' || string_agg(DISTINCT nullif(application_name, ''), ', '), '')
FROM pg_catalog.pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_catalog.pg_backend_pid()
  AND application_name NOT LIKE 'archon_ops:%'
GROUP BY datname ORDER BY datname"""
_FACTS = f"""
SELECT json_build_object(
    'settings', (SELECT json_object_agg(name, setting) FROM pg_catalog.pg_settings
                 WHERE name IN ({", ".join(f"'{name}'" for name in NAMES)})),
    'version', current_setting('server_version'),
    'system', (SELECT system_identifier::text FROM pg_catalog.pg_control_system()),
    'superuser', (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user))"""


@dataclass(frozen=True)
class Facts:
    """What the server says of itself.

    Attributes:
        settings: those that matter here.
        version: as in `SHOW server_version`.
        system_identifier: of the cluster.
        superuser: whether the role is one.
    """

    settings: dict[str, str]
    version: str
    system_identifier: str
    superuser: bool

    @property
    def major(self) -> str:
        """First number of the version."""
        return self.version.partition(".")[0]


def asked(at: Reached) -> AtHost:
    """The server, asked from its own host."""
    return AtHost(at.backrest.host, program(at.server, "psql"), at.config)


def facts(at: Reached) -> Facts:
    """What the server says of itself to pgBackRest's role.

    Raises:
        OpsError: that role cannot reach it.
    """
    found: dict[str, Any] = json.loads(asked(at).ask(_FACTS))
    return Facts(found["settings"], found["version"], found["system"], found["superuser"])


def examined(site: Site, at: Reached, *, replace: bool, upgrade: bool) -> SetupPlan:
    """What a setup would do.

    Raises:
        PreconditionError: the stanza is another server's, or it archives in another way.
    """
    now = facts(at)
    lacking = lacking_on(at)
    files, commands = remedy(site, at) if lacking else ({}, ())
    version = version_on(at)
    stock = None if lacking else _stock(at)
    if stock and stock.exists:
        check_stanza(stock, now, at.backrest.host.name, upgrade=upgrade)
    settings = configured(site)
    command = archive_command(PROGRAM, settings.config, at.config.stanza)
    text = render(fitting(at.config, version))
    return SetupPlan(
        target=target_of(site.name, at.server.host, site.database, now.system_identifier),
        host=at.backrest.host.name,
        server_version=now.version,
        backrest_version=version,
        stanza=at.config.stanza,
        made=bool(stock and stock.exists),
        upgrade=bool(stock and stock.exists and _other_server(stock, now)),
        repositories=tuple(repository.shown for repository in at.config.repositories),
        unencrypted=tuple(r.number for r in at.config.repositories if not r.cipher_pass),
        config=settings.config,
        config_text=masked(text),
        config_changes=not lacking and _config_differs(site, at, text),
        changes=changes(now.settings, command, replace=replace),
        sharing=_sharing(at),
        lacking=lacking,
        files=files,
        commands=commands,
        notes=_notes(at, now, version),
    )


def check_stanza(stock: Stock, now: Facts, host: str, *, upgrade: bool = False) -> None:
    """Refuse a stanza that was made for another server than the one that is there.

    Raises:
        PreconditionError: it was; says whether an upgrade explains that.
    """
    if not _other_server(stock, now) or (upgrade and int(now.major) > int(stock.version)):
        return
    if int(now.major) > int(stock.version):
        raise PreconditionError(
            f"the server on {host} was upgraded: stanza {stock.stanza} knows PostgreSQL "
            f"{stock.version}, it is {now.major} now, so nothing is archived",
            "inv pitr.setup --upgrade, then inv pitr.backup --type full",
        )
    raise PreconditionError(
        f"stanza {stock.stanza} belongs to another server: {stock.system_identifier} is in the "
        f"repository, {now.system_identifier} on {host}",
        "was it made anew? Then give the source another pitr.stanza, and keep the old one",
    )


def ca_files(site: Site) -> dict[str, bytes]:
    """Path on the database's host -> certificate authority that belongs there.

    Raises:
        PreconditionError: one cannot be read.
    """
    settings = configured(site)
    found = {}
    for number, repository in settings.repositories.items():
        if repository.ca_file:
            here = site.settings.path(repository.ca_file)
            with explained("read", here):
                found[ca_file(number, settings)] = here.read_bytes()
    return found


def _other_server(stock: Stock, now: Facts) -> bool:
    return (stock.system_identifier, stock.version) != (now.system_identifier, now.major)


def _stock(at: Reached) -> Stock | None:
    """What the repositories hold; None where there is no configuration to ask by yet."""
    if at.backrest.host.read(at.backrest.config) is None:
        return None
    try:
        return at.backrest.info()
    except OpsError:  # the configuration there may be the very thing that has to change
        return None


def _config_differs(site: Site, at: Reached, text: str) -> bool:
    wanted = {at.backrest.config: text.encode(), **ca_files(site)}
    return any(at.backrest.host.read(path) != data for path, data in wanted.items())


def _sharing(at: Reached) -> tuple[str, ...]:
    """Sessions by database, and the containers that stand beside the server's."""
    sessions = tuple(f"database {line}" for line in asked(at).ask(_SHARING).splitlines())
    host = at.backrest.host
    if not isinstance(host, InContainer):
        return sessions
    networks = set(host.container.addresses)
    near = sorted(
        container.name
        for container in host.engine.containers()
        if container.id != host.container.id and networks & set(container.addresses)
    )
    return (*sessions, *(f"container {name}, on the same network" for name in near))


def _notes(at: Reached, now: Facts, version: str) -> tuple[str, ...]:
    host = at.backrest.host
    notes = []
    if isinstance(host, InContainer) and not host.container.init:
        notes.append(
            "PostgreSQL is process 1 of its container: where pgBackRest is killed, PostgreSQL "
            "restarts. `init: true` in the compose file prevents that"
        )
    wanted = any(repository.block for repository in at.config.repositories)
    if wanted and fitting(at.config, version) != at.config:
        notes.append(
            f"pgBackRest {version} copies every file that changed as a whole; changed blocks alone "
            "are known to 2.46 and later"
        )
    if not now.superuser:
        notes.append(f"role {at.config.user} is no superuser: it may not change the server")
    free = free_for_wal(at)
    if free is not None:
        notes.append(f"{free >> 20} MB are free where WAL waits while a repository is away")
        most = size_of(at.config.queue_max)
        if most is None or most > free:
            notes.append(
                "that is less than may wait: the disk fills before WAL is dropped, and then the "
                f"server stops. pitr.queue_max is {at.config.queue_max or 'not set'}"
            )
    return tuple(notes)


def free_for_wal(at: Reached) -> int | None:
    """Room where WAL waits to be archived; None where that cannot be told."""
    folder = f"{at.config.data_folder}/pg_wal"  # it may be a link to another disk
    return free_bytes(at.backrest.host, folder)
