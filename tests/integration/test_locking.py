"""Locks on Archon's tables come all or not at all, whatever the tables are called."""

from __future__ import annotations

import pytest
from psycopg import sql

from archon_ops.postgres.archon.locking import Held, lock_all
from archon_ops.postgres.archon.objects import archons
from archon_ops.postgres.server import Server
from tests.support import new_database

ODD = """archon_"$locks$'; DROP TABLE archon_b; --"""


def test_names_are_nothing_but_names_and_what_did_not_come_is_told(postgres_18: Server) -> None:
    with new_database(postgres_18, "locks") as db, postgres_18.connect("locks") as other:
        db.execute("CREATE TABLE public.archon_b (); CREATE TABLE public.archon_a ()")
        quoted = sql.Identifier(ODD).as_string(None)
        db.execute(f"CREATE TABLE public.{quoted} ()".encode())
        things = archons(db, frozenset())
        held = """SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock'
                  AND relation = ANY (%s) AND granted"""
        tables = [[thing.oid for thing in things.relations]]
        with db.transaction():
            lock_all(db, things, ("archon_b",))
            assert other.execute(held, tables).fetchone() == (3,)
        with other.transaction():
            other.execute(f"LOCK TABLE public.{quoted} IN ACCESS SHARE MODE".encode())
            with pytest.raises(Held) as error, db.transaction():
                lock_all(db, things, ())
            assert error.value.table == quoted
            assert other.execute(held, tables).fetchone() == (0,)
