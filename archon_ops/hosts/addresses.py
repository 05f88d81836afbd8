"""Whether an address is one of this machine's own."""

from __future__ import annotations

import socket


def is_this_machine(host: str) -> bool:
    """Whether a host, as libpq is told it, is this machine.

    A loopback address may be the near end of a tunnel, or of a container's published port: only
    that a host is another one can be told for sure.

    Args:
        host: a name, an address, or the folder of a socket; one that is not known anywhere counts
            as ours, so that the connection itself says what is wrong with it.
    """
    if not host or host.startswith(("/", "@")):
        return True
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except OSError:
        return True
    return any(_is_ours(family, address) for family, _, _, _, address in found)


def _is_ours(family: socket.AddressFamily, address: tuple[object, ...]) -> bool:
    """An address is ours where a socket can be bound to it."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address[0], 0, *address[2:]))
        except OSError:
            return False
    return True
