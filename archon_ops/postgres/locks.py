"""Room for table locks: a dump holds one on every table, and the server has a fixed number."""

from __future__ import annotations

import math
from dataclasses import dataclass

from archon_ops.postgres.scope import Scope, relation_condition
from archon_ops.postgres.session import Connection, scalar

# Locks of a few more sessions of ours, and of whoever connects meanwhile.
_MARGIN = 100
# The processes besides clients that the server makes room for; names differ between versions.
_PROCESSES = (
    "max_connections",
    "max_prepared_transactions",
    "max_worker_processes",
    "max_wal_senders",
)
_AUTOVACUUM = ("autovacuum_worker_slots", "autovacuum_max_workers")


@dataclass(frozen=True)
class LockRoom:
    """How many table locks a dump takes, and how many the server can hold.

    Attributes:
        needed: locks of a dump, and those that others hold now.
        available: what all sessions together can hold.
        per_transaction: the server's max_locks_per_transaction.
    """

    needed: int
    available: int
    per_transaction: int

    @property
    def enough(self) -> bool:
        """Whether a dump fits."""
        return self.needed <= self.available

    @property
    def wanted(self) -> int:
        """What max_locks_per_transaction should be: twice what is needed now."""
        return math.ceil(2 * self.needed * self.per_transaction / self.available)


def lock_room(connection: Connection, scope: Scope) -> LockRoom:
    """Count the relations that pg_dump would lock, and the places in the server's lock table."""
    rows = connection.execute(
        f"""SELECT c.oid FROM pg_catalog.pg_class c
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p', 'S', 'v', 'm') AND {relation_condition()}""",
        scope.parameters,
    )
    relations = rows.rowcount
    others = scalar(connection, "SELECT count(*) FROM pg_catalog.pg_locks WHERE NOT fastpath")
    settings = _numbers(connection)
    processes = sum(settings.get(name, 0) for name in _PROCESSES)
    processes += next((settings[name] for name in _AUTOVACUUM if name in settings), 0)
    each = settings["max_locks_per_transaction"]
    return LockRoom(relations + int(others) + _MARGIN, each * processes, each)


def _numbers(connection: Connection) -> dict[str, int]:
    rows = connection.execute(
        "SELECT name, setting::int FROM pg_catalog.pg_settings WHERE name = ANY (%s)",
        [["max_locks_per_transaction", *_PROCESSES, *_AUTOVACUUM]],
    ).fetchall()
    return dict(rows)
