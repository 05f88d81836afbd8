"""The switch: one short transaction that exchanges Archon's objects, under a lock nobody waits for.

The wait for the lock is what hurts: one idle reader holds us up, and everybody queues behind us.
locking.py says how that wait is kept short.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import psycopg
from psycopg import sql

from archon_ops.errors import LockedError, OpsError, PreconditionError
from archon_ops.postgres import facts
from archon_ops.postgres.archon import foreign, publications
from archon_ops.postgres.archon.dependants import dependants
from archon_ops.postgres.archon.locking import ALL_LOCKS_SECONDS, Held, holders, lock_all, touched
from archon_ops.postgres.archon.objects import (
    SCHEMA,
    Thing,
    Things,
    archons,
    everything,
    printed,
    quoted,
)
from archon_ops.postgres.kept import Kept, mark
from archon_ops.postgres.server import Server
from archon_ops.postgres.session import Connection, scalar, set_local

_HELD = "10s"
_TRIES = 8
_PAUSE_SECONDS = 1.0


@dataclass(frozen=True)
class Exchange:
    """What comes into service.

    Attributes:
        incoming: schema with what comes; it is gone afterwards. None where nothing comes.
        labels: types and routines that are Archon's by name, because they come or came.
        routines: label -> definition, of those that neighbours use too and that are replaced.
        publications: publication -> tables that were in it when they left.
        checked: called before the commit, with what came in place; raises to undo it all; answers
            the inventory of what came.
    """

    incoming: str
    labels: frozenset[str]
    routines: Mapping[str, str]
    publications: Mapping[str, tuple[str, ...]]
    checked: Callable[[Connection], Mapping[str, str]]


@dataclass(frozen=True)
class Exchanged:
    """What was done.

    Attributes:
        kept: what left, with its mark complete; None where nothing did.
        left: labels of what left and has no successor.
        grants: rights on what left that its successor does not grant, as statements.
        seconds: how long the lock was held.
        bound: keys of what left to neighbours' tables that could not be dropped yet, described.
    """

    kept: Kept | None
    left: tuple[str, ...]
    grants: tuple[str, ...]
    seconds: float
    bound: tuple[str, ...] = ()


def exchange(server: Server, exchange: Exchange, kept: Kept) -> Exchanged:
    """Bring the incoming schema's objects into service; what was there becomes `kept`.

    Raises:
        LockedError: sessions held Archon's tables throughout; names them. Nothing was changed.
        PreconditionError: neighbours hang on what would leave. Nothing was changed.
    """
    with server.connect(kept.database) as connection:
        blockers, first = "", tuple[str, ...]()
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(_PAUSE_SECONDS)
            things = archons(connection, exchange.labels)
            try:
                with connection.transaction():
                    done = _exchange(connection, exchange, kept, things, first)
                return _unbound(connection, done)
            except Held as held:
                first = (held.table, *(name for name in first if name != held.table))
                blockers = holders(connection, things) or blockers
            except (
                psycopg.errors.LockNotAvailable,
                psycopg.errors.QueryCanceled,
                psycopg.errors.DeadlockDetected,
                psycopg.errors.SerializationFailure,
            ):
                blockers = holders(connection, things) or blockers
    raise LockedError(
        f"Archon's tables are in use, {_TRIES} times in a row the lock did not come within "
        f"{ALL_LOCKS_SECONDS} s: {blockers or 'whoever held one has just ended'}",
        "let that session end, or end it: inv psql --command 'SELECT pg_terminate_backend(PID)'; "
        "then run the command again",
    )


def _unbound(connection: Connection, done: Exchanged) -> Exchanged:
    """What left no longer binds the neighbours that it refers to; the next sweep tries again."""
    return replace(done, bound=foreign.let_go(connection, done.kept)) if done.kept else done


def _exchange(
    connection: Connection,
    wanted: Exchange,
    kept: Kept,
    before: Things,
    first: tuple[str, ...],
) -> Exchanged:
    """Inside of the transaction."""
    coming = everything(connection, wanted.incoming)
    began = lock_all(connection, before, first)
    set_local(connection, "check_function_bodies", "off")
    set_local(connection, "statement_timeout", _HELD)
    leaving = _leaving(connection, wanted, before, coming)
    members = publications.memberships(connection, leaving)
    connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(kept.name)))
    move(connection, leaving, kept.name)
    publications.leave(connection, kept.name, members)
    move(connection, coming, SCHEMA)
    connection.execute(sql.SQL("DROP SCHEMA {}").format(sql.Identifier(coming.schema)))
    routines = _replace_routines(connection, wanted.routines)
    here = {relation.name for relation in coming.relations}
    rejoining = tuple(m for m in members if quoted(m.table) in here)
    publications.join(connection, (*rejoining, *_former(connection, wanted, members, here)))
    whole = replace(
        kept,
        inventory=wanted.checked(connection),
        routines=routines,
        publications=_by_publication(members),
        keys=foreign.outgoing(connection, kept.name),
        migrations=facts.migrations(connection),
        snapshot=str(scalar(connection, "SELECT pg_current_snapshot()::text")),
    )
    _refuse_touched(connection, leaving, coming)
    say = sql.SQL("COMMENT ON SCHEMA {} IS {}")
    connection.execute(say.format(sql.Identifier(kept.name), sql.Literal(mark(whole))))
    connection.execute("NOTIFY pgrst, 'reload schema'")
    gone = tuple(sorted(leaving.labels - coming.labels))
    grants = lost_grants(connection, kept.name)
    if not leaving.all:
        connection.execute(sql.SQL("DROP SCHEMA {}").format(sql.Identifier(kept.name)))
    return Exchanged(whole if leaving.all else None, gone, grants, time.monotonic() - began)


def _leaving(connection: Connection, wanted: Exchange, before: Things, coming: Things) -> Things:
    """What has to go, looked at again under the lock."""
    now = archons(connection, wanted.labels)
    if now != before:  # made in between, so it is not locked yet
        raise psycopg.errors.SerializationFailure("Archon's objects changed just now")
    hanging = dependants(connection, now)
    if hanging.others:
        raise neighbours_hang(hanging.others)
    shared = {t.label for t in now.routines if t.oid in hanging.shared}
    if unexpected := shared & coming.labels:
        raise OpsError(
            f"neighbours began to use {', '.join(sorted(unexpected))} while the restore ran",
            "run the command again",
        )
    return now.without(hanging.shared)


def neighbours_hang(others: tuple[str, ...]) -> PreconditionError:
    """Objects that would follow the old tables out of service."""
    more = f" and {len(others) - 5} more" if len(others) > 5 else ""
    return PreconditionError(
        f"neighbours hang on Archon's objects, and would go on seeing the old ones: "
        f"{'; '.join(others[:5])}{more}",
        "drop them and make them again after the restore, or restore everything with "
        "--scope database",
    )


def move(connection: Connection, things: Things, schema: str) -> None:
    """Move objects to another schema; keys, indexes, triggers, policies and rights go along."""
    for thing in things.movable:
        connection.execute(_moved(thing, things.schema, schema))


def _moved(thing: Thing, schema: str, target: str) -> sql.Composed:
    parts = (sql.SQL("."), printed(thing.name), sql.SQL(" SET SCHEMA "), sql.Identifier(target))
    return sql.Composed([printed(f"ALTER {thing.kind} "), sql.Identifier(schema), *parts])


def _replace_routines(connection: Connection, wanted: Mapping[str, str]) -> dict[str, str]:
    """Give routines that neighbours use too another definition; answers the ones before."""
    before = {}
    for label, definition in wanted.items():
        if (old := definition_of(connection, label)) != definition:
            connection.execute(definition.encode())
            if old:
                before[label] = old
    return before


def definition_of(connection: Connection, label: str) -> str:
    """The definition of a routine of schema public; empty where there is none."""
    name = f"{SCHEMA}.{label.removeprefix('routine ')}"
    query = "SELECT coalesce(pg_get_functiondef(to_regprocedure(%s)), '')"
    return str(scalar(connection, query, name))


def _former(
    connection: Connection,
    wanted: Exchange,
    members: tuple[publications.Membership, ...],
    here: set[str],
) -> tuple[publications.Membership, ...]:
    """Tables that were published when they left, and are in no live publication to take over."""
    known = {(member.publication, member.table) for member in members}
    usable = publications.existing(connection, tuple(wanted.publications))
    return tuple(
        publications.Membership(publication, table, (), "", changeable=True, owner="")
        for publication in usable
        for table in wanted.publications[publication]
        if (publication, table) not in known and quoted(table) in here
    )


def lost_grants(connection: Connection, schema: str) -> tuple[str, ...]:
    """Rights on relations that left which those of the same names do not grant."""
    rows = connection.execute(
        """WITH rights AS (
             SELECT n.nspname, c.relname, c.relkind, x.grantee, x.privilege_type
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,
             aclexplode(c.relacl) AS x
             WHERE n.nspname IN (%(old)s, %(new)s) AND x.grantee <> c.relowner)
           SELECT DISTINCT format('GRANT %%s ON %%s %%I.%%I TO %%s', o.privilege_type,
                    CASE o.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, %(new)s::text,
                    o.relname, CASE o.grantee WHEN 0 THEN 'PUBLIC'
                                 ELSE quote_ident(pg_get_userbyid(o.grantee)) END)
           FROM rights o JOIN pg_catalog.pg_class s ON s.relname = o.relname
             AND s.relnamespace = to_regnamespace(%(new)s)
           WHERE o.nspname = %(old)s AND NOT EXISTS (
             SELECT FROM rights w WHERE w.nspname = %(new)s AND w.relname = o.relname
               AND w.grantee = o.grantee AND w.privilege_type = o.privilege_type)
           ORDER BY 1""",
        {"old": schema, "new": SCHEMA},
    ).fetchall()
    return tuple(statement for (statement,) in rows)


def _by_publication(
    members: tuple[publications.Membership, ...],
) -> dict[str, tuple[str, ...]]:
    names = dict.fromkeys(member.publication for member in members)
    return {n: tuple(m.table for m in members if m.publication == n) for n in names}


def _refuse_touched(connection: Connection, leaving: Things, coming: Things) -> None:
    ours = [thing.oid for things in (leaving, coming) for thing in things.relations]
    if others := touched(connection, ours):
        names = ", ".join(others)
        raise OpsError(f"the switch would have touched what is not Archon's: {names}", "report it")
