"""The door to a Docker engine: inspect before acting, argument lists only, always a deadline.

What runs inside a container is never killed from here: where PID 1 is PostgreSQL itself, an orphan
that dies by SIGKILL makes the server restart. Programs inside are cancelled by SQL instead.
"""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import IO

from docker import APIClient
from docker.errors import DockerException, NotFound
from docker.utils import parse_host
from requests.exceptions import RequestException

from archon_ops.errors import OpsError, PreconditionError
from archon_ops.hosts import described
from archon_ops.hosts.described import Container, Network
from archon_ops.hosts.docker_errors import START_HINT, reason, told
from archon_ops.hosts.inside import Exec
from archon_ops.hosts.process import Finished


class Engine:
    """A connection to an engine.

    Args:
        timeout: seconds that any single answer may take.
    """

    def __init__(self, timeout: float = 30.0) -> None:
        self._timeout = timeout

    @cached_property
    def _api(self) -> APIClient:
        host = os.environ.get("DOCKER_HOST")
        try:
            parse_host(host)
            api = APIClient(base_url=host, timeout=round(self._timeout), version="auto")
        except (DockerException, RequestException, ValueError) as error:
            raise PreconditionError(
                f"no Docker engine answers: {reason(error)}", START_HINT
            ) from error
        return api

    @property
    def version(self) -> str:
        """Version of the engine."""
        with told("asking for its version"):
            return str(self._api.version()["Version"])

    def image(self, identifier: str) -> described.Image:
        """One image by its identifier."""
        with told(f"inspecting image {identifier}"):
            return described.image(self._api.inspect_image(identifier))  # type: ignore[no-untyped-call]

    def added(self, container: str) -> frozenset[str]:
        """Paths that are in a container and not in its image, volumes left out."""
        with told(f"comparing container {container} with its image"):
            found = self._api.diff(container) or ()
        return frozenset(str(item["Path"]) for item in found if item["Kind"] == 1)

    def find(self, name: str) -> tuple[Container, ...]:
        """All containers of this exact name, or with the label `name` (written key=value)."""
        by = {"label": name} if "=" in name else {"name": f"^/?{_escaped(name)}$"}
        with told(f"looking for container {name}"):
            found = self._api.containers(all=True, filters=by)
        return self._inspected(found)

    def inspect(self, container: str) -> Container:
        """One container by its identifier or name.

        Raises:
            PreconditionError: there is none.
        """
        with told(f"inspecting container {container}"):
            return described.container(self._api.inspect_container(container))

    def run(
        self,
        container: str,
        argv: Sequence[str],
        *,
        timeout: float,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        user: str = "",
    ) -> Finished:
        """Run a program inside to its end; see `spawn`."""
        with self.spawn(container, argv, env=env, stdin=stdin is not None, user=user) as child:
            if stdin is not None:
                child.send(stdin)
            output = b"".join(child.blocks(timeout))
            done = child.wait(timeout)
        return Finished(done.argv, done.returncode, output.decode(errors="replace"), done.stderr)

    @contextlib.contextmanager
    def spawn(
        self,
        container: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: bool = False,
        user: str = "",
    ) -> Iterator[Exec]:
        """Start a program inside; leaving the block closes our ends and does not stop it.

        Args:
            container: identifier or name.
            argv: program and arguments.
            env: variables on top of the container's.
            stdin: whether its standard input is ours to write.
            user: who it runs as; empty: whom the container runs as.
        """
        with told(f"running {argv[0]} in container {container}"):
            made = self._api.exec_create(
                container,
                list(argv),
                stdin=stdin,
                user=user,
                environment={"LC_ALL": "C", "LANGUAGE": "C", **(env or {})},
            )
            stream = self._api.exec_start(made["Id"], socket=True)
        child = Exec(partial(self.exec_state, made["Id"]), tuple(argv), stream)
        try:
            yield child
        finally:
            child.close()

    def exec_state(self, exec_id: str) -> tuple[bool, int | None]:
        """Whether a program inside still runs, and its exit status when it does not."""
        with told("asking for an exit status"):
            state = self._api.exec_inspect(exec_id)
        return bool(state["Running"]), state["ExitCode"]

    def put(
        self, container: str, folder: str, name: str, source: Path, *, mode: int = 0o644
    ) -> None:
        """Copy a file into a container, readable for whoever runs there.

        Args:
            container: identifier or name.
            folder: existing folder inside.
            name: name of the file there.
            source: the file here.
            mode: its access mode there.
        """
        with source.open("rb") as file, told(f"copying {name} into container {container}"):
            info = tarfile.TarInfo(name)
            info.size, info.mode = os.fstat(file.fileno()).st_size, mode
            if not self._api.put_archive(container, folder, _tar_stream(info, file)):
                raise OpsError(f"container {container} did not take {name}")

    def put_bytes(
        self,
        container: str,
        folder: str,
        name: str,
        data: bytes,
        *,
        mode: int,
        owner: tuple[int, int] = (0, 0),
    ) -> None:
        """The same for a small file that need not exist here; `owner` is its user and group."""
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(data), mode
        info.uid, info.gid = owner
        with told(f"copying {name} into container {container}"):
            if not self._api.put_archive(container, folder, _tar_stream(info, io.BytesIO(data))):
                raise OpsError(f"container {container} did not take {name}")

    def create(
        self,
        image: str,
        name: str,
        *,
        env: Mapping[str, str],
        labels: Mapping[str, str],
        network: str | None = None,
        shm_bytes: int | None = None,
        entrypoint: Sequence[str] | None = None,
        readonly: Mapping[str, str] | None = None,
        writable: Mapping[str, str] | None = None,
        extra_hosts: Sequence[str] = (),
    ) -> str:
        """Create a container that is not started yet; its identifier.

        Args:
            image: identifier or name of an image that is there; nothing is pulled.
            name: of the container.
            env: its environment.
            labels: its labels.
            network: the only network that it is on; None for the engine's default.
            shm_bytes: size of its /dev/shm.
            entrypoint: what it runs instead of what its image says.
            readonly: folder inside -> volume, or folder of the engine's host, that can be read
                there.
            writable: the same for what can be written as well.
            extra_hosts: names that it knows besides ("name:address").
        """
        with told(f"creating container {name}"):
            host = self._api.create_host_config(
                network_mode=network,
                shm_size=shm_bytes,
                binds=[
                    *(f"{source}:{inside}:ro" for inside, source in (readonly or {}).items()),
                    *(f"{source}:{inside}:rw" for inside, source in (writable or {}).items()),
                ],
                extra_hosts=dict(known.split(":", 1) for known in extra_hosts),
            )
            made = self._api.create_container(
                image,
                name=name,
                environment=dict(env),
                labels=dict(labels),
                host_config=host,
                entrypoint=None if entrypoint is None else list(entrypoint),
            )
        return str(made["Id"])

    def create_network(self, name: str, labels: Mapping[str, str]) -> str:
        """Create a network that leads nowhere but to this machine; its identifier."""
        with told(f"creating network {name}"):
            return str(self._api.create_network(name, internal=True, labels=dict(labels))["Id"])

    def join(self, network: str, container: str) -> None:
        """Let a container reach another network besides its own."""
        with told(f"connecting container {container} with network {network}"):
            self._api.connect_container_to_network(container, network)

    def leave(self, network: str, container: str) -> None:
        """Take a container off a network."""
        with told(f"taking container {container} off network {network}"):
            self._api.disconnect_container_from_network(container, network)

    def remove(self, container: str) -> None:
        """Remove a container with what it holds, whether it runs or not."""
        with told(f"removing container {container}"):
            self._api.remove_container(container, force=True, v=True)

    def remove_networks(self, label: str) -> None:
        """Remove the networks with a label."""
        with told(f"removing networks {label}"):
            for found in self._api.networks(filters={"label": label}):
                self._api.remove_network(found["Id"])

    def start(self, container: str) -> None:
        """Start a container that is stopped."""
        with told(f"starting container {container}"):
            self._api.start(container)

    def stop(self, container: str, grace_seconds: int) -> None:
        """Ask a container to end; the engine insists after the grace."""
        with told(f"stopping container {container}"):
            self._api.stop(container, timeout=grace_seconds)

    def logs(self, container: str, lines: int) -> str:
        """The end of what a container wrote."""
        with told(f"reading the log of container {container}"):
            text: bytes = self._api.logs(container, tail=lines)
        return text.decode(errors="replace")

    def containers(self, *, label: str | None = None) -> tuple[Container, ...]:
        """All containers, or those with a label."""
        with told("listing containers"):
            found = self._api.containers(all=True, filters={"label": label} if label else {})
        return self._inspected(found)

    def _inspected(self, listed: Iterable[Mapping[str, str]]) -> tuple[Container, ...]:
        """Those of a list that are still there: others make and remove containers meanwhile."""
        there = []
        for item in listed:
            with told(f"inspecting container {item['Id']}"), contextlib.suppress(NotFound):
                there.append(described.container(self._api.inspect_container(item["Id"])))
        return tuple(there)

    def network(self, name: str) -> Network:
        """One network by its name.

        Raises:
            PreconditionError: there is none.
        """
        with told(f"inspecting network {name}"):
            return described.network(self._api.inspect_network(name))


def _tar_stream(info: tarfile.TarInfo, file: IO[bytes]) -> Iterator[bytes]:
    """A tar archive of one file, block by block: dumps do not fit into memory."""
    yield info.tobuf(tarfile.PAX_FORMAT)
    left = info.size
    while left:
        data = file.read(min(left, 1 << 20))
        if not data:
            raise OpsError(f"{info.name} became shorter while it was read")
        left -= len(data)
        yield data
    yield b"\0" * (-info.size % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE)


def _escaped(name: str) -> str:
    return "".join(c if c.isalnum() or c in "_-" else f"\\{c}" for c in name)
