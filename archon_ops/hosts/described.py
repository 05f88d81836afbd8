"""Containers and networks as a Docker engine describes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

# Where the images of PostgreSQL have it.
USUAL_DATA = "/var/lib/postgresql/data"


@dataclass(frozen=True)
class Container:
    """A container as the engine describes it.

    Attributes:
        id: full identifier.
        name: without the slash.
        image: identifier of its image (sha256:…).
        status: running, exited, restarting, paused, created, dead.
        health: of its healthcheck; None where it has none.
        started_at: RFC 3339, as the engine tells it.
        restarts: how often the engine restarted it.
        environment: of its main process; may hold secrets, never shown.
        addresses: network -> address.
        ports: container port ("5432/tcp") -> host addresses and ports that lead to it.
        mounts: as the engine lists them.
        labels: its labels.
        init: whether an init process is PID 1.
        shm_bytes: size of /dev/shm.
        entrypoint, command: what it runs, None where its image decides alone.
        healthcheck: as the engine has it, in nanoseconds; None where there is none.
        networks: those that it is on while it runs.
        extra_hosts: names that it was told besides those of its network ("name:address").
    """

    id: str
    name: str
    image: str
    status: str
    health: str | None
    started_at: str
    restarts: int
    environment: Mapping[str, str] = field(repr=False)
    addresses: Mapping[str, str]
    ports: Mapping[str, tuple[tuple[str, int], ...]]
    mounts: tuple[Mapping[str, Any], ...]
    labels: Mapping[str, str]
    init: bool
    shm_bytes: int
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    healthcheck: Mapping[str, Any] | None = None
    networks: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()

    @property
    def usual_data(self) -> str:
        """PostgreSQL's data directory in it, as far as that can be told without its server."""
        return self.environment.get("PGDATA") or USUAL_DATA

    def mount_of(self, path: str) -> tuple[str, str] | None:
        """What a path inside lies in: the mount, and its volume or folder of the engine's host.

        Args:
            path: absolute, inside.

        Returns:
            None: it lies in the container itself, and goes with it.
        """
        holding = [
            mount
            for mount in self.mounts
            if PurePosixPath(path).is_relative_to(str(mount.get("Destination") or "/nowhere"))
        ]
        if not holding:
            return None
        nearest = max(holding, key=lambda mount: len(str(mount["Destination"])))
        return str(nearest["Destination"]), str(nearest.get("Name") or nearest["Source"])

    @property
    def running(self) -> bool:
        """Whether programs can be run in it now."""
        return self.status == "running"


@dataclass(frozen=True)
class Image:
    """An image as the engine describes it.

    Attributes:
        reference: by digest where a registry gave it, else by tag, else its identifier.
        user: whom it runs as; empty: root.
    """

    reference: str
    user: str


@dataclass(frozen=True)
class Network:
    """A network of the engine's.

    Attributes:
        name: its name.
        bridge: the host's network device that leads to it; empty where there is none.
        subnets: its address ranges ("172.18.0.0/16").
    """

    name: str
    bridge: str
    subnets: tuple[str, ...]


def container(found: Mapping[str, Any]) -> Container:
    """A container from what the engine's inspection answers."""
    state, config, host = found["State"], found["Config"], found["HostConfig"]
    network = found["NetworkSettings"]
    env = dict(item.partition("=")[::2] for item in config.get("Env") or ())
    return Container(
        id=found["Id"],
        name=found["Name"].lstrip("/"),
        image=found["Image"],
        status=state["Status"],
        health=(state.get("Health") or {}).get("Status"),
        started_at=state["StartedAt"],
        restarts=found.get("RestartCount", 0),
        environment=env,
        addresses={
            name: net["IPAddress"] for name, net in network["Networks"].items() if net["IPAddress"]
        },
        ports={
            port: tuple((b["HostIp"], int(b["HostPort"])) for b in bindings or ())
            for port, bindings in (network.get("Ports") or {}).items()
        },
        mounts=tuple(found.get("Mounts") or ()),
        labels=config.get("Labels") or {},
        init=bool(host.get("Init")),
        shm_bytes=host.get("ShmSize") or 0,
        entrypoint=_words(config.get("Entrypoint")),
        command=_words(config.get("Cmd")),
        healthcheck=config.get("Healthcheck"),
        networks=tuple(network["Networks"]),
        extra_hosts=tuple(host.get("ExtraHosts") or ()),
    )


def _words(argv: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if argv is None else tuple(argv)


def network(found: Mapping[str, Any]) -> Network:
    """A network from what the engine's inspection answers."""
    options = found.get("Options") or {}
    made = f"br-{found['Id'][:12]}" if found.get("Driver") == "bridge" else ""
    return Network(
        name=found["Name"],
        bridge=options.get("com.docker.network.bridge.name") or made,
        subnets=tuple(c["Subnet"] for c in (found.get("IPAM") or {}).get("Config") or ()),
    )


def image(found: Mapping[str, Any]) -> Image:
    """An image from what the engine's inspection answers."""
    names = (*(found.get("RepoDigests") or ()), *(found.get("RepoTags") or ()), found["Id"])
    return Image(reference=str(names[0]), user=str((found.get("Config") or {}).get("User") or ""))
