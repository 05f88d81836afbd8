"""Keys and passphrases: by a file, a file descriptor, or a person; never by a flag."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from archon_ops.cli.stream import terminal
from archon_ops.errors import UsageError

if TYPE_CHECKING:
    from pydantic import SecretStr

    from archon_ops.storage.cipher import Keys

HELP = {
    "identity": "file with the private age key",
    "passphrase_fd": "file descriptor to read the passphrase from (3, with 3<FILE)",
}
_LIMIT = 4096


def keys_of(identity: str | None, passphrase_fd: int | None) -> Keys:
    """What there is to decrypt with; a person is asked only where one is there."""
    from archon_ops.storage.cipher import Keys

    there = terminal(sys.stdin) and terminal(sys.stderr)
    return Keys(
        Path(identity).expanduser().absolute() if identity else None,
        passphrase_from(passphrase_fd) if passphrase_fd is not None else None,
        asked if there else None,
    )


def asked(prompt: str) -> SecretStr:
    """Let the person at the terminal type a passphrase; it is not shown."""
    from pydantic import SecretStr

    return SecretStr(getpass.getpass(prompt, stream=sys.stderr))


def new_passphrase(fd: int | None) -> SecretStr:
    """A passphrase to encrypt with: from a file descriptor, or typed twice.

    Raises:
        UsageError: nobody is there to type it, or it was typed in two ways.
    """
    if fd is not None:
        return passphrase_from(fd)
    if not (terminal(sys.stdin) and terminal(sys.stderr)):
        raise UsageError(
            "no recipient was given, and nobody is here to type a passphrase",
            "--recipient KEY, or --passphrase-fd 3 3<FILE",
        )
    word = asked("Passphrase: ")
    if not word.get_secret_value() or word != asked("The same again: "):
        raise UsageError("the passphrase is empty, or was not the same twice")
    return word


def passphrase_from(fd: int) -> SecretStr:
    """The first line of an open file descriptor.

    Raises:
        UsageError: it is not open, or nothing comes from it.
    """
    from pydantic import SecretStr

    data = b""
    try:
        while len(data) < _LIMIT and b"\n" not in data and (block := os.read(fd, _LIMIT)):
            data += block
    except OSError as error:
        raise UsageError(
            f"--passphrase-fd {fd}: {error.strerror}", "open it in the shell: 3<FILE"
        ) from error
    line = data.partition(b"\n")[0].removesuffix(b"\r")
    if not line:
        raise UsageError(f"--passphrase-fd {fd}: there is no passphrase in it")
    return SecretStr(line.decode(errors="surrogateescape"))
