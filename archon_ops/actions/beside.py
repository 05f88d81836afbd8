"""Bring a part of a backup back into a schema of its own: beside what lives, never over it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import sql

from archon_ops.actions.part import Part, opened_part
from archon_ops.actions.recording import recorded
from archon_ops.errors import UntrustworthyError, UsageError
from archon_ops.model.fingerprint import TableFingerprint
from archon_ops.model.plan import target_of
from archon_ops.model.proof import TableProof
from archon_ops.model.units import zulu
from archon_ops.postgres import beside as steps
from archon_ops.postgres import facts, fingerprint
from archon_ops.postgres.relations import Name, qualified
from archon_ops.postgres.restore import run as pg_restore
from archon_ops.postgres.restore import session_settings
from archon_ops.postgres.scope import Scope
from archon_ops.postgres.server import Server
from archon_ops.site import Site
from archon_ops.storage.atomic import Temporary
from archon_ops.storage.reference import resolve

_STAYS = "foreign keys, triggers, policies and rights stay behind; the schema is the role's own"


@dataclass(frozen=True)
class Request:
    """What is asked for: a schema, or a table.

    Attributes:
        reference: latest, a name, or a path.
        into: name of the schema that is made.
        schema: all of this schema; empty where a table is asked for.
        table: this table, in public or SCHEMA.TABLE; empty where a schema is asked for.
    """

    reference: str
    into: str
    schema: str = ""
    table: str = ""

    @property
    def name(self) -> Name:
        """Schema and table; of a whole schema the second is empty."""
        if self.schema:
            return self.schema, ""
        schema, _, table = self.table.rpartition(".")
        return schema or "public", table

    @property
    def text(self) -> str:
        """For people."""
        return f"schema {self.schema}" if self.schema else f"table {qualified(self.name)}"


@dataclass(frozen=True)
class Plan:
    """What would be made.

    Attributes:
        target: the database as it has to be typed.
        backup: name of the dump.
        snapshot_at: UTC time of what it holds.
        what: the part, for people.
        into: the new schema.
        tables: table -> its rows in the backup.
    """

    target: str
    backup: str
    snapshot_at: datetime
    what: str
    into: str
    tables: dict[str, int]

    def text(self) -> str:
        """For a person who has to decide."""
        rows, count = sum(self.tables.values()), len(self.tables)
        tables = f"{count} table{'' if count == 1 else 's'}"
        return "\n".join(
            [
                f"Restore  {self.what}: {rows} rows in {tables}",
                f"From     {self.backup}, database as of {zulu(self.snapshot_at)}",
                f"Into     {self.target}, new schema {self.into}",
                "Keeps    everything that is there",
                f"Note     {_STAYS}",
            ]
        )

    def document(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "target": self.target,
            "backup": self.backup,
            "snapshot_at": zulu(self.snapshot_at),
            "what": self.what,
            "into": self.into,
            "tables": [{"table": t, "rows": n} for t, n in self.tables.items()],
            "notes": [_STAYS],
        }


@dataclass(frozen=True)
class Made:
    """What was made, and proven.

    Attributes:
        plan: what was planned.
        tables: every table, held against the manifest.
        seconds: duration from the confirmation on.
    """

    plan: Plan
    tables: tuple[TableProof, ...]
    seconds: float


def plan(site: Site, request: Request) -> Plan:
    """Check and plan, and change nothing."""
    with recorded(site, "restore") as run:
        run.details.update({"dry_run": True, "into": request.into})
        located = resolve(run.site.directory, request.reference)
        with run.site.server() as server:
            _require_free(run.site, server, request)
            with opened_part(run.site, located) as part:
                return _plan(run.site, server, part, request)


def restore_beside(site: Site, request: Request, confirm: Callable[[Plan], None]) -> Made:
    """Make a schema of a part of a backup, in one transaction, and prove its rows.

    Raises:
        UntrustworthyError: what came of it is not what was backed up; nothing was kept.
        OpsError: it failed; nothing was kept.
    """
    with recorded(site, "restore") as run:
        site = run.site
        located = resolve(site.directory, request.reference)
        run.details.update({"backup": located.backup.name, "into": request.into})
        with site.server() as server:
            _require_free(site, server, request)
            with opened_part(site, located) as part:
                planned = _plan(site, server, part, request)
                confirm(planned)
                began = time.monotonic()
                _prepare(part, request)
                _carry_over(site, server, part, request.into)
            proofs = _prove(site, server, part, request)
        return Made(planned, proofs, time.monotonic() - began)


def _require_free(site: Site, server: Server, request: Request) -> None:
    with server.connect(site.database) as live:
        steps.require_free(live, request.into)


def _plan(site: Site, server: Server, part: Part, request: Request) -> Plan:
    with server.connect(site.database) as live:
        identifier = facts.system_identifier(live)
    names = set(_tables(part, request))
    return Plan(
        target=target_of(site.name, server.host, site.database, identifier),
        backup=part.located.backup.name,
        snapshot_at=part.located.backup.taken_at,
        what=request.text,
        into=request.into,
        tables={t.name: t.rows for t in part.manifest.tables if (t.schema, t.table) in names},
    )


def _tables(part: Part, request: Request) -> list[Name]:
    """The tables that are meant."""
    schema, table = request.name
    found = [
        name
        for name in part.relations()
        if name[0] == schema and table in ("", name[1]) and part.holds(name)
    ]
    if not found:
        raise UsageError(
            f"{part.located.backup.name} holds no {request.text}",
            f"inv verify {part.located.backup.name} checks it; a table is TABLE or SCHEMA.TABLE",
        )
    return found


def _prepare(part: Part, request: Request) -> None:
    """In the sandbox: rows, keys, where sequences stand, indexes, and the new name."""
    names = _tables(part, request)
    part.load(names)
    sequences = f"SEQUENCE SET {request.name[0]} "
    part.restore("data", part.contents.chosen(lambda text: text.startswith(sequences)))
    indexes = steps.index_entries(part.manifest.inventory, names)
    part.restore("post-data", part.contents.chosen(lambda text: text.startswith(indexes)))
    with part.server.connect(part.database) as connection:
        if request.schema:
            steps.rename_schema(connection, request.schema, request.into)
        else:
            steps.move_table(connection, names[0], request.into)


def _carry_over(site: Site, server: Server, part: Part, schema: str) -> None:
    """From the sandbox into the live database; whoever kills us leaves nothing behind."""
    limits = site.settings.deadlines
    options = {
        **session_settings(server.programs.small_shared_memory),
        "synchronous_commit": "on",
        "lock_timeout": "2s",
    }
    site.report.phase("restore.beside", f"Making schema {schema}")
    with Temporary(site.directory.path, site.run_id) as file:
        steps.dump_schema(part.server, part.database, schema, file.write, timeout=limits.stall)
        with server.staged(file.path) as staged:
            pg_restore(
                server,
                site.database,
                None,
                ("--single-transaction", "--no-owner", "--no-privileges", staged),
                limits.restore,
                lambda *_: None,
                options,
            )


def _prove(site: Site, server: Server, part: Part, request: Request) -> tuple[TableProof, ...]:
    """Hold the new tables against the manifest; drop them where they do not hold."""
    site.report.step("restore.proof", "Comparing every row with the manifest")
    wanted = {(t.schema, t.table): t for t in part.manifest.tables}
    proofs = []
    with server.connect(site.database) as live:
        every = {(t.schema, t.name): t for t in fingerprint.tables(live, Scope())}
        for name, was in wanted.items():
            if not _meant(name, request):
                continue
            there = every.get((request.into, name[1]))
            found = (
                fingerprint.one(live, there, timeout=site.settings.deadlines.proof)
                if there
                else None
            )
            proofs.append(_proof(was, found))
    if not all(proof.equal for proof in proofs):
        first = next(proof.table for proof in proofs if not proof.equal)
        _drop(site, server, request.into)
        raise UntrustworthyError(
            f"what was made of {first} is not what was backed up; schema {request.into} was "
            "dropped again",
            f"inv verify {part.located.backup.name} --restore",
        )
    return tuple(proofs)


def _meant(name: Name, request: Request) -> bool:
    return name[0] == request.name[0] and request.name[1] in ("", name[1])


def _proof(was: TableFingerprint, found: TableFingerprint | None) -> TableProof:
    equal = found is not None and (was.rows, was.content) == (found.rows, found.content)
    return TableProof(was.name, was.rows, found.rows if found else None, equal)


def _drop(site: Site, server: Server, schema: str) -> None:
    with server.connect(site.database) as live:
        live.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
