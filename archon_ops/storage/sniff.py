"""What a file looks like, told from its first bytes."""

from __future__ import annotations

import os
import re
from pathlib import Path

from archon_ops.errors import UntrustworthyError
from archon_ops.storage.explain import explained
from archon_ops.storage.files import open_regular

CUSTOM_FORMAT = "a PostgreSQL custom-format dump"
_HEAD_BYTES = 4096

_MAGIC = (
    (b"PGDMP", CUSTOM_FORMAT),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x28\xb5\x2f\xfd", "a zstd file"),
    (b"\x04\x22\x4d\x18", "an lz4 file"),
    (b"\xfd7zXZ\x00", "an xz file"),
    (b"BZh", "a bzip2 file"),
    (b"PK\x03\x04", "a zip file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip file"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"age-encryption.org/", "a file encrypted with age"),
    (b"-----BEGIN AGE ENCRYPTED FILE-----", "a file encrypted with age"),
    (b"-----BEGIN PGP MESSAGE-----", "a file encrypted with gpg"),
)
# OpenPGP: a packet tag and length, then the version of a session key packet. Symmetric (tag 3)
# or for a recipient (tag 1), in the old or the new form of the header.
_GPG = re.compile(rb"\x8c.[\x04-\x06]|\xc3.[\x04-\x06]|[\x84\xc1].\x03|\x85..\x03", re.DOTALL)
_SQL = re.compile(
    r"(^|\n)\s*(-- PostgreSQL database (cluster )?dump|SET |CREATE |COPY |INSERT |BEGIN;|SELECT )",
    re.IGNORECASE,
)


def what_is(path: Path) -> str:
    """Say what a file looks like ("a gzip file", "plain SQL text", "an empty file" ...).

    Raises:
        PreconditionError: it is no regular file, or cannot be read.
    """
    with explained("read", path), os.fdopen(open_regular(path), "rb") as file:
        return _look(file.read(_HEAD_BYTES))


def require_custom_format(path: Path) -> None:
    """Check that a file begins as pg_restore expects it.

    Raises:
        UntrustworthyError: it looks like something else, and like what.
        PreconditionError: it is no regular file, or cannot be read.
    """
    looks_like = what_is(path)
    if looks_like != CUSTOM_FORMAT:
        raise UntrustworthyError(
            f"{path} is not a custom-format dump: it looks like {looks_like}", _hint(looks_like)
        )


def _look(head: bytes) -> str:
    if not head:
        return "an empty file"
    for magic, text in _MAGIC:
        if head.startswith(magic):
            return text
    if head[257:262] == b"ustar":
        return "a tar file (perhaps a dump made with pg_dump -Ft)"
    if _GPG.match(head):
        return "a file encrypted with gpg"
    return _text(head)


def _text(head: bytes) -> str:
    if not head.strip(b"\0"):
        return "a file of zero bytes"
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # not merely a character cut at the end
            return "binary data of an unknown kind"
        text = head[: error.start].decode()
    if any(ord(character) < 32 and character not in "\t\n\r\f\x1b" for character in text):
        return "binary data of an unknown kind"
    return "plain SQL text" if _SQL.search(text) else "plain text"


def _hint(looks_like: str) -> str:
    if "encrypted" in looks_like:
        return "decrypt it first"
    if "SQL" in looks_like:
        return "such a dump is restored with psql, not with this tool"
    return "inv backups lists the dumps that can be restored"
