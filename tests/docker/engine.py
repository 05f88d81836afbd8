"""The container engine as one test session uses it: whatever it makes is labelled and removed.

The label's value tells which process made a thing. What a killed session left behind is removed by
the next one; what belongs to a living process is left alone.
"""

from __future__ import annotations

import contextlib
import os
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import docker.errors
from docker.models.containers import Container
from docker.models.networks import Network

from archon_ops.hosts import flock
from tests.support import TMP, require

LABEL = "archon-ops-test"
# Names that the document gives to containers; the engine has each of them once.
FIXED_NAMES = ("supabase-ai-db", "supabase-ai-kong", "archon-server", "archon-mcp", "archon-ui")
# An image is taken in within one call, and other workers make theirs meanwhile.
_CALL_SECONDS = 600
# A whole module of another worker may use the fixed names before it is our turn.
_NAMES_SECONDS = 1800


class Engine:
    """A client of the engine that labels what it makes.

    Attributes:
        client: the docker SDK's client.
        session: value of the label on all that this process makes.
    """

    def __init__(self) -> None:
        self.client = docker.from_env(timeout=_CALL_SECONDS)
        self.session = _identity(os.getpid())
        self._names = contextlib.ExitStack()
        self._users_of_names = 0

    @property
    def labels(self) -> dict[str, str]:
        return {LABEL: self.session}

    def run(self, image: str, **options: Any) -> Container:
        """Start a container in the background; a name is made up unless it is given."""
        name = options.pop("name", None) or f"archon-rig-{uuid.uuid4().hex[:8]}"
        labels = {**self.labels, **options.pop("labels", {})}
        return self.client.containers.run(image, name=name, labels=labels, detach=True, **options)

    def network(self, **options: Any) -> Network:
        """A bridge network with a made-up name."""
        name = f"archon-rig-{uuid.uuid4().hex[:8]}"
        return self.client.networks.create(name, driver="bridge", labels=self.labels, **options)

    @contextlib.contextmanager
    def fixed_names(self) -> Iterator[None]:
        """Be the only one who uses names like supabase-ai-db, which the engine has only once.

        Within one process the block may be entered again. A real Archon on this engine is never
        touched: then no test that needs the names can run.
        """
        if not self._users_of_names:
            mine = self._names.enter_context(
                flock.held(Path(TMP) / _names_lock(), timeout=_NAMES_SECONDS)
            )
            assert mine, "another test session uses the fixed names of containers for too long"
            self._require_names()
        self._users_of_names += 1
        try:
            yield
        finally:
            self._users_of_names -= 1
            if not self._users_of_names:
                self._names.close()

    def sweep(self) -> None:
        """Remove what sessions left that do not live any more."""
        for value in self._sessions():
            if not _alive(value):
                self.remove(f"{LABEL}={value}")

    def close(self) -> None:
        """Remove all that this session made, and hang up."""
        self.remove(f"{LABEL}={self.session}")
        self.client.close()

    def remove(self, *labels: str) -> None:
        """Remove what has all the labels, containers first; what is gone already is fine."""
        api, only = self.client.api, {"label": list(labels)}
        for container in api.containers(all=True, filters=only):
            with _gone_is_fine():
                api.remove_container(container["Id"], force=True, v=True)
        for network in api.networks(filters=only):
            with _gone_is_fine():
                api.remove_network(network["Id"])
        for volume in api.volumes(filters=only)["Volumes"] or []:
            with _gone_is_fine():
                api.remove_volume(volume["Name"], force=True)
        for image in api.images(filters=only):
            with _gone_is_fine():
                api.remove_image(image["Id"], force=True)

    def _require_names(self) -> None:
        """Nobody but tests may have a container of a fixed name; lets go of the names if so."""
        self.sweep()
        taken = [
            name.lstrip("/")
            for container in self.client.api.containers(all=True)
            if LABEL not in container["Labels"]
            for name in container["Names"] or ()  # one that is being removed has none any more
        ]
        foreign = sorted(set(taken) & set(FIXED_NAMES))
        if foreign:
            self._names.close()
        require(not foreign, f"an engine without containers of one's own named {foreign}")

    def _sessions(self) -> set[str]:
        """Values of our label on anything that the engine holds."""
        api, only = self.client.api, {"label": LABEL}
        found = [
            *api.containers(all=True, filters=only),
            *api.networks(filters=only),
            *(api.volumes(filters=only)["Volumes"] or []),
            *api.images(filters=only),
        ]
        return {thing["Labels"][LABEL] for thing in found}


@contextlib.contextmanager
def _gone_is_fine() -> Iterator[None]:
    """Also what another worker is removing at this moment."""
    try:
        yield
    except (docker.errors.NotFound, docker.errors.ImageNotFound):
        pass
    except docker.errors.APIError as error:
        if "already in progress" not in str(error):
            raise


def _names_lock() -> str:
    """The lock's file: each engine has names of its own."""
    return f"archon-rig-names-{zlib.crc32(os.environ.get('DOCKER_HOST', '').encode()):08x}.lock"


def _identity(pid: int) -> str:
    """A process id and when it began, in ticks since the boot: no other process has both."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return f"{pid}-{fields[19]}"


def _alive(identity: str) -> bool:
    try:
        return _identity(int(identity.partition("-")[0])) == identity
    except (OSError, ValueError):
        return False
