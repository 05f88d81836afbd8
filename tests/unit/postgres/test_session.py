"""What a query that PostgreSQL stopped means to an operator."""

from __future__ import annotations

import psycopg
import pytest

from archon_ops.errors import LockedError, PreconditionError
from archon_ops.postgres.session_errors import query_error

errors = psycopg.errors


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (psycopg.OperationalError("server closed the connection"), "connection to PostgreSQL was"),
        (errors.AdminShutdown("terminating"), "the connection to PostgreSQL was lost"),
        (errors.ConnectionFailure("gone"), "the connection to PostgreSQL was lost"),
        (errors.QueryCanceled("canceling"), "a query was cancelled: canceling"),
        (errors.OutOfMemory("out of memory"), "the server lacks what a query needs"),
        (errors.TooManyConnections("sorry"), "the server lacks what a query needs"),
        (errors.DeadlockDetected("deadlock"), "another transaction was in the way"),
        (errors.ObjectInUse("in use"), "something on the server is in use"),
        (errors.StatementTooComplex("stack"), "beyond the server's limits"),
        (errors.IoError("could not read"), "the server's files or disk failed it"),
        (errors.UndefinedTable("no such"), "PostgreSQL refuses: no such"),
    ],
)
def test_what_was_the_matter_is_said(error: psycopg.Error, said: str) -> None:
    assert said in query_error(error).message


def test_what_somebody_can_do_something_about_has_its_own_exit_code() -> None:
    assert isinstance(query_error(errors.LockNotAvailable("x")), LockedError)
    assert isinstance(query_error(errors.DiskFull("x")), PreconditionError)
    assert isinstance(query_error(errors.InsufficientPrivilege("x")), PreconditionError)
