"""Which compressions a pg_dump has, found by trial and not by its version.

pg_dump checks its options before it connects, and so does its build its codecs: 15 answers
'invalid value "zstd:1"', an 18 built without it 'this build does not support compression with
ZSTD'. Only with a compression that it has does it go on and fail at the socket that we named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from archon_ops.errors import UsageError
from archon_ops.hosts.process import Finished

# Runs pg_dump with these arguments to its end.
Ask = Callable[[tuple[str, ...]], Finished]

# Best first: zstd is the fastest and the smallest, gzip can be read everywhere.
_CODECS = ("zstd:1", "gzip:1", "lz4:1")
_NO_SERVER = "/nonexistent"


def best(ask: Ask) -> str:
    """The first of them that this pg_dump has; "none" where it has none."""
    return next((codec for codec in _CODECS if has(codec, ask)), "none")


def has(codec: str, ask: Ask) -> bool:
    """Whether this pg_dump has a compression."""
    return _spelling(codec, ask) is not None


def available(ask: Ask) -> tuple[str, ...]:
    """The compressions that this pg_dump has ("zstd:1", "gzip:1" …), best first."""
    return tuple(codec for codec in _CODECS if has(codec, ask))


def argument(codec: str, ask: Ask, where: str) -> str:
    """How this pg_dump wants to be told a compression: "--compress=gzip:1", or "-Z1" before 16.

    Args:
        codec: one of `available(ask)`, another level of it ("gzip:6"), or "none".
        ask: runs the pg_dump that will write the dump.
        where: which pg_dump that is, for the message.

    Raises:
        UsageError: it does not have that compression.
    """
    spelled = _spelling(codec, ask)
    if spelled is None:
        raise UsageError(
            f"pg_dump in {where} has no compression {codec!r}",
            f"it has: {', '.join(available(ask))}, none",
        )
    return spelled


def _spelling(codec: str, ask: Ask) -> str | None:
    """The first way of asking for a codec that is accepted."""
    return next((text for text in _spellings(codec) if _accepted(text, ask)), None)


def _spellings(codec: str) -> Iterator[str]:
    name, _, level = codec.partition(":")
    # A bare number would be gzip to every version, whatever was meant.
    if name.isalnum() and not name.isdigit():
        yield f"--compress={codec}"
        if short := {"gzip": f"-Z{level or 6}", "none": "-Z0"}.get(name):
            yield short


def _accepted(spelled: str, ask: Ask) -> bool:
    args = (
        "--format=custom",
        spelled,
        f"--host={_NO_SERVER}",
        "--dbname=postgres",
        "--file=/dev/null",
    )
    return _NO_SERVER in ask(args).stderr
