"""Whether the addresses of the containers' networks lead somewhere else, as with a VPN."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from archon_ops.hosts.described import Network
from archon_ops.model.diagnosis import Check, Finding

_Range = ipaddress.IPv4Network | ipaddress.IPv6Network
_ROUTES = Path("/proc/net/route")
_PROPOSALS = ("172.21.0.0/16", "172.28.0.0/16", "10.213.0.0/16", "192.168.213.0/24")
_UP = 1


@dataclass(frozen=True)
class Route:
    """One entry of the host's routing table: where packets to a range of addresses go."""

    device: str
    range: _Range


def read_routes(file: Path = _ROUTES) -> tuple[Route, ...]:
    """The host's routes for IPv4, the default one left out; none where it has no such table."""
    try:
        lines = file.read_text().splitlines()[1:]
    except OSError:
        return ()
    return tuple(_parsed(lines))


def judge(networks: tuple[Network, ...], routes: tuple[Route, ...]) -> Finding:
    """Whether a route of the host competes with a network of the containers.

    The more exact route wins: one that is wider than the network only hides the addresses of the
    other side, one that is not takes the containers' own.
    """
    check = Check(
        "network.subnet",
        "the API or the database times out, often only while a VPN is connected",
        "ip route; docker network inspect " + " ".join(n.name for n in networks),
    )
    rivals = [
        (network, subnet, route)
        for network in networks
        for subnet in map(ipaddress.ip_network, network.subnets)
        for route in routes
        if route.device != network.bridge and _overlap(route.range, subnet)
    ]
    if not rivals:
        count = len(networks)
        return check.ok(f"{count} network{'s' * (count != 1)}, none competes with another route")
    network, subnet, route = min(rivals, key=lambda rival: -rival[2].range.prefixlen)
    found = f"network {network.name} ({subnet}) and the route {route.range} over {route.device}"
    mend = _mend(network, routes)
    if route.range.prefixlen < subnet.prefixlen:
        return check.note(
            f"{found} overlap: hosts behind {route.device} in {subnet} cannot be reached",
            "a VPN, or another network of the host, uses a range that holds the containers'",
            mend,
        )
    return check.warning(
        f"{found} overlap: packets to the containers go to {route.device}",
        "a VPN, or another network of the host, uses the same addresses",
        mend,
    )


def _mend(network: Network, routes: tuple[Route, ...]) -> str:
    free = next((p for p in _PROPOSALS if _is_free(p, routes)), "a range that `ip route` lacks")
    return (
        f"in the compose file, under networks: {network.name}: ipam: config: - subnet: {free}; "
        "then: docker compose down && docker compose up -d"
    )


def _is_free(proposal: str, routes: tuple[Route, ...]) -> bool:
    return not any(_overlap(route.range, ipaddress.ip_network(proposal)) for route in routes)


def _overlap(one: _Range, other: _Range) -> bool:
    return one.version == other.version and one.overlaps(other)


def _parsed(lines: list[str]) -> Iterator[Route]:
    """Lines of /proc/net/route: device, destination, gateway, flags …, mask; all little-endian."""
    for line in lines:
        with contextlib.suppress(ValueError, IndexError, struct.error):
            fields = line.split()
            mask = _address(fields[7])
            if int(fields[3], 16) & _UP and mask != "0.0.0.0":  # noqa: S104 - the default route
                yield Route(fields[0], ipaddress.ip_network(f"{_address(fields[1])}/{mask}"))


def _address(text: str) -> str:
    return socket.inet_ntoa(struct.pack("<L", int(text, 16)))
