"""Why pgBackRest did not do it, in words that name the next step."""

from __future__ import annotations

import re

from archon_ops.errors import LockedError, OpsError, PreconditionError, UntrustworthyError
from archon_ops.model.pitr.stock import Stock

_ERROR = re.compile(r"ERROR: \[(\d+)\]: (.*)")
_NETWORK = re.compile(
    r"HTTP|TLS|timeout (?:connecting|after \d+ms)|unable to connect|unexpected EOF|unable to get"
)
# A file's own key stands in a manifest that cipher_pass has opened by then: where a worker that
# reads files cannot decrypt one, that file is damaged, and cipher_pass is not wrong.
_FILE_UNREADABLE = re.compile(r"ERROR: \[095\]: raised from local-")
_NOISE = re.compile(r"^\S+ \S+ P\d\d\s+|^P\d\d\s+")

_LOCK, _ARCHIVE_MISMATCH, _BACKUP_MISMATCH, _FILE_MISSING = 50, 44, 51, 55
_CRYPTO, _STOPPED, _CHECKSUM, _FORMAT = 95, 62, 26, 29
_ARCHIVE_TIMEOUT, _SET_INVALID = 82, 75


class AwayError(OpsError):
    """The repository's server did not answer, or not to the end: it may a little later."""


def reason(text: str, code: int) -> str:
    """The first error that it printed, in one line, without time and process.

    Args:
        text: all that it said.
        code: its exit status.
    """
    for line in text.splitlines():
        if match := _ERROR.search(line):
            return match[2].strip()
    lines = [_NOISE.sub("", line).strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else f"exit status {code}"


def not_there(stock: Stock) -> PreconditionError:
    """The error for a stanza that no repository shows."""
    if stock.unreadable:
        number, said = min(stock.unreadable.items())
        return PreconditionError(
            f"repository {number} of {stock.stanza} cannot be read: {said}",
            "is it reachable, and are its keys and its cipher_pass right?",
        )
    said = next(iter(stock.problems.values()), "")
    return PreconditionError(
        f"stanza {stock.stanza} is in no repository: {said or 'nothing was made there yet'}",
        "a new one: inv pitr.setup; or bring the repository back",
    )


def failure(command: str, stanza: str, where: str, text: str, code: int) -> OpsError:
    """The error for a command of pgBackRest's that failed.

    Args:
        command: its name, as backup.
        stanza: that it worked on.
        where: the host, as a plan prints it.
        text: all that it said.
        code: its exit status, which is the number of its error.
    """
    said = f"pgbackrest {command} of {stanza} on {where} failed: {reason(text, code)}"
    if code == _LOCK:
        return LockedError(
            f"another pgBackRest process works on {stanza} on {where}: {reason(text, code)}",
            "wait until it has ended; one whose starter was killed ends by itself",
        )
    if code in (_ARCHIVE_MISMATCH, _BACKUP_MISMATCH):
        return PreconditionError(
            f"{said}: the server is another one than {stanza} was made for, or was upgraded",
            "after an upgrade: inv pitr.setup --upgrade; else give this source another pitr.stanza",
        )
    if code == _FILE_MISSING and ".conf'" in text:
        return PreconditionError(
            f"{said}: point-in-time recovery is not set up there, or the file is gone",
            "inv pitr.setup",
        )
    if code == _FILE_MISSING and "info" in text:
        return PreconditionError(
            f"{said}: the repository is gone, or {stanza} was never made in it",
            "bring the repository back, or make a new one: inv pitr.setup",
        )
    if _FILE_UNREADABLE.search(text):
        return UntrustworthyError(said, "inv pitr.verify names what is damaged")
    if code == _CRYPTO or "cipher" in text.lower():
        return PreconditionError(
            f"{said}: is cipher_pass the one that it was made with?",
            "set pitr.repo1.cipher_pass, then inv pitr.setup",
        )
    if code == _STOPPED:
        return PreconditionError(said, f"pgbackrest --stanza={stanza} start, on {where}")
    if code in (_CHECKSUM, _FORMAT):
        return UntrustworthyError(said, "inv pitr.verify names what is damaged")
    if code == _ARCHIVE_TIMEOUT:
        return PreconditionError(
            f"{said}: WAL does not reach the repository", "inv pitr.setup, and the server's log"
        )
    # That of a set which cannot be read says nothing of why; the warning before it does.
    if code == _SET_INVALID:
        away = next((line.strip() for line in text.splitlines() if _NETWORK.search(line)), "")
        said = f"{said} ({away})" if away else said
    if _NETWORK.search(said):
        return AwayError(
            f"{said}: the repository's server does not answer as it should",
            "is it reachable, and are its keys right? Then again: what was copied is taken up",
        )
    return OpsError(said, f"look at the log of {where}; inv pitr.setup checks the configuration")
