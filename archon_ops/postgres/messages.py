"""What PostgreSQL's programs say, sorted into harmless, understood, and failure."""

from __future__ import annotations

import re

from archon_ops.errors import LockedError, OpsError, PreconditionError
from archon_ops.hosts.process import Finished

# Lines that may be ignored, each with the reason why.
_HARMLESS = (
    # Followed by the message proper; says only which entry it belongs to.
    re.compile(r"^pg_restore: (while|from TOC entry)"),
    # Printed for circular foreign keys (archon_tasks refers to itself); data is loaded before
    # the keys are made, so they cannot fail.
    re.compile(
        r"^pg_dump: (warning: there are circular foreign-key constraints|detail: |hint: You "
        r"might not be able to restore|hint: Consider using a full dump)"
    ),
    # pg_dump's note on a collation that the system's library has since changed.
    re.compile(r"^pg_dump: (NOTICE|INFO): "),
)
_NO_SPACE = re.compile(r"No space left on device|could not extend file", re.IGNORECASE)


def complaints(said: str) -> tuple[str, ...]:
    """The lines of a tool's standard error that are neither empty nor known to be harmless."""
    lines = (line.rstrip() for line in said.splitlines())
    return tuple(line for line in lines if line and not any(h.match(line) for h in _HARMLESS))


def failure(done: Finished, doing: str) -> OpsError:
    """What a failed tool means to an operator.

    Args:
        done: the finished program.
        doing: what it was at ("pg_dump of database postgres").
    """
    said = done.stderr
    lines = complaints(said)
    why = next((x for x in lines if "error:" in x), lines[-1] if lines else done.reason)
    why = re.sub(r"^pg_\w+: ", "", why)
    # pg_dump --lock-wait-timeout is a statement timeout, and its only statement then is LOCK TABLE.
    if re.search(r"lock timeout|could not obtain lock|statement timeout.*LOCK TABLE", said, re.S):
        return LockedError(
            f"{doing} waited too long for a table lock: {why}",
            "let the session that holds the lock end, then run it again",
        )
    if match := re.search(r"server version: (\S+).*pg_dump version: (\S+)", said, re.DOTALL):
        return PreconditionError(
            f"{doing}: the server is {match[1].rstrip(';')}, pg_dump is {match[2]}",
            f"install the package postgresql-client-{match[1].split('.')[0]}",
        )
    if "unsupported startup parameter" in said:
        return PreconditionError(
            f"{doing}: a connection pooler lets no settings through: {why}",
            "use the server's own port (5432) in the DSN",
        )
    if "unsupported version" in said:
        return PreconditionError(
            f"{doing}: the dump was written by a newer pg_dump: {why}",
            "use the tools of the dump's own major version, or a newer one",
        )
    if _NO_SPACE.search(said):
        return PreconditionError(
            f"{doing}: the server's disk is full: {why}",
            "free space in the server's data directory, then run it again",
        )
    if "row-level security" in said or "row_security" in said:
        return PreconditionError(
            f"{doing}: row level security hides rows: {why}",
            "use a role with BYPASSRLS, or --exclude-table",
        )
    if "permission denied" in said:
        return PreconditionError(
            f"{doing}: {why}", "use another role, or --exclude-schema or --exclude-table"
        )
    signal = f" (ended by signal {-done.returncode})" if done.returncode < 0 else ""
    return OpsError(f"{doing} failed{signal}: {why}", "look at the server's log; then run it again")
