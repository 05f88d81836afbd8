"""Run the statements of a migration one by one, as psql would, and watch what they lock."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from archon_ops.model.rehearsal import WAITERS, Failure, Held, Ran, strongest
from archon_ops.model.script import Statement
from archon_ops.postgres.session import Connection, deadline

# What a statement says that runs in no transaction block: CREATE INDEX CONCURRENTLY, VACUUM,
# a procedure that commits.
_ALONE = (psycopg.errors.ActiveSqlTransaction, psycopg.errors.InvalidTransactionTermination)


@dataclass
class Stage:
    """A session that runs statements, and one that watches it.

    Attributes:
        actor: the session that runs them; autocommit, as psql's.
        watcher: another session on the same database, of a role that sees all locks.
        timeout: seconds for one statement.
        locks: table -> mode and longest time, of what was let go.
        holding: table -> mode and since when, of what is held now.
    """

    actor: Connection
    watcher: Connection
    timeout: float
    locks: dict[str, Held] = field(default_factory=dict)
    holding: dict[str, tuple[str, float]] = field(default_factory=dict)

    def run(self, statement: Statement) -> Ran | Failure:
        """Run one statement; whatever PostgreSQL refuses is an answer."""
        began = time.monotonic()
        try:
            with deadline(self.actor, self.timeout, f"{statement.place}, {statement.head}"):
                watched = self._run(statement, began)
        except psycopg.Error as error:
            self._end()
            return _failure(statement, error)
        return Ran(statement, time.monotonic() - began, watched)

    def unfinished(self, last: Statement) -> Failure | None:
        """A transaction that the files began and never ended: what it did is lost."""
        if self._idle():
            return None
        self._end()
        return Failure(last, last.line, "the transaction that was begun is never committed")

    def _run(self, statement: Statement, began: float) -> bool:
        if self._idle():
            return self._run_alone(statement, began)
        self.actor.execute(_raw(statement.text))
        if self._idle():
            self._let_go()
        else:
            self._watch(began)
        return True

    def _run_alone(self, statement: Statement, began: float) -> bool:
        """In a transaction of its own, where it allows that: its locks can be seen then."""
        self.actor.execute("BEGIN")
        try:
            self.actor.execute(_raw(statement.text))
        except _ALONE:
            self.actor.execute("ROLLBACK")
            self.actor.execute(_raw(statement.text))
            return False
        self._watch(began)
        if not _begins_transaction(statement.text):
            self.actor.execute("COMMIT")
        if self._idle():
            self._let_go()
        return True

    def _idle(self) -> bool:
        return self.actor.info.transaction_status is TransactionStatus.IDLE

    def _watch(self, began: float) -> None:
        """Remember which tables that others can see are locked, and since when."""
        rows = self.watcher.execute(
            """SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname), l.mode
               FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
               WHERE l.pid = %s AND l.granted AND l.locktype = 'relation'
                 AND l.database = (SELECT oid FROM pg_catalog.pg_database
                                   WHERE datname = current_database())
                 AND c.relkind IN ('r', 'p', 'm', 'v') AND n.nspname !~ '^pg_'
                 AND n.nspname <> 'information_schema' AND l.mode = ANY (%s)""",
            [self.actor.info.backend_pid, list(WAITERS)],
        ).fetchall()
        for table, mode in rows:
            before, since = self.holding.get(table, (mode, began))
            self.holding[table] = (strongest(before, mode), since)

    def _let_go(self) -> None:
        now = time.monotonic()
        for table, (mode, since) in self.holding.items():
            known = self.locks.get(table, Held(table, mode, 0.0))
            longest = max(known.seconds, now - since)
            self.locks[table] = Held(table, strongest(known.mode, mode), longest)
        self.holding.clear()

    def _end(self) -> None:
        self._let_go()
        if not self.actor.closed and not self._idle():
            self.actor.execute("ROLLBACK")


def _begins_transaction(text: str) -> bool:
    """Inside of ours, BEGIN only warns: ours is the transaction that it asked for."""
    words = Statement("", 0, 0, text).head.upper().split()
    return words[:1] == ["BEGIN"] or words[:2] == ["START", "TRANSACTION"]


def _raw(text: str) -> sql.SQL:
    return sql.SQL(text)


def _failure(statement: Statement, error: psycopg.Error) -> Failure:
    found = error.diag
    message = " ".join((found.message_primary or str(error)).split())
    detail = f" ({' '.join(found.message_detail.split())})" if found.message_detail else ""
    line = statement.line
    if found.statement_position:
        line += statement.text[: int(found.statement_position) - 1].count("\n")
    return Failure(statement, line, message + detail)
