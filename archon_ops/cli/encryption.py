"""Encrypting and decrypting single files, as the handbook does with gpg."""

from __future__ import annotations

from archon_ops.cli import keys
from archon_ops.cli.command import Run, command
from archon_ops.errors import UsageError


@command(
    positional="file",
    help={
        "file": "the file",
        "recipient": "age1… or ssh-… key, or gpg key; none: a passphrase (gpg)",
        "passphrase_fd": keys.HELP["passphrase_fd"],
    },
)
def encrypt(
    run: Run, file: str, recipient: tuple[str, ...] = (), passphrase_fd: int | None = None
) -> None:
    """Encrypt a file beside itself, as FILE.age or FILE.gpg; the file itself stays."""
    from pathlib import Path

    from archon_ops.actions.sealing import encrypt as action
    from archon_ops.storage.cipher import cipher_for
    from archon_ops.storage.sniff import what_is

    if recipient and passphrase_fd is not None:
        raise UsageError("--recipient and --passphrase-fd exclude each other")
    what_is(Path(file))  # what cannot be read is told before anybody types a passphrase
    word = None if recipient else keys.new_passphrase(passphrase_fd)
    cipher = cipher_for(recipient, word)
    if cipher is None:
        raise UsageError("no recipient and no passphrase was given", "see: inv encrypt --help")
    target = action(Path(file), cipher)
    run.console.ok(f"{target} can be read by {', '.join(cipher.readers)}")
    if run.options.json:
        run.console.json({"path": target, "cipher": cipher.name, "readers": cipher.readers})


@command(positional="file", help={"file": "FILE.age or FILE.gpg", **keys.HELP})
def decrypt(
    run: Run, file: str, identity: str | None = None, passphrase_fd: int | None = None
) -> None:
    """Decrypt a file beside itself; it gets its name only when all of it was authentic."""
    from pathlib import Path

    from archon_ops.actions.sealing import decrypt as action

    target, sha256 = action(Path(file), keys.keys_of(identity, passphrase_fd))
    run.console.ok(f"{target} is there, SHA-256 {sha256}")
    if run.options.json:
        run.console.json({"path": target, "sha256": sha256})
