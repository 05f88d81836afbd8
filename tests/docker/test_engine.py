"""What an engine tells while others work on it."""

from __future__ import annotations

from typing import Any

import pytest

from archon_ops.hosts.engine import Engine as Ours
from tests.docker.engine import Engine

pytestmark = pytest.mark.slow


class _Meddler:
    """The engine's real answers, with somebody who removes a container before it is looked at."""

    def __init__(self, api: Any, victim: str) -> None:
        self._api = api
        self._victim = victim

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    def inspect_container(self, container: str) -> Any:
        if container == self._victim:
            self._api.remove_container(container, force=True)
        return self._api.inspect_container(container)


def test_a_container_that_goes_while_all_are_looked_at_is_not_there(
    engine: Engine, pg18_image: str
) -> None:
    stays, goes = (engine.run(pg18_image, entrypoint=["sleep", "600"]) for _ in range(2))
    ours = Ours()
    ours.__dict__["_api"] = _Meddler(ours._api, goes.id)
    label = f"archon-ops-test={engine.session}"
    there = {one.id for one in ours.containers(label=label)}
    assert stays.id in there
    assert goes.id not in there
    assert stays.id in {one.id for one in ours.find(label)}
