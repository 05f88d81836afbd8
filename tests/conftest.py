"""Installations and servers that tests start from.

Making one takes a second, copying one a tenth of that: each worker makes one, tests use copies.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from archon_ops.errors import PreconditionError
from archon_ops.postgres.cluster import Cluster
from archon_ops.postgres.server import Server
from archon_ops.postgres.tools import SERVER_PROGRAMS, Tools, local_tools, wheel_tools
from tests import s3
from tests.direct import Direct, Host, copied, hosting, prepared
from tests.s3 import S3Server
from tests.support import TMP, Installation, require, server_at

# The folders of `tmp_path` lie beside our own: files are moved from one to the other.
os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", TMP)

# The same examples in every run, and however slow the machine is.
settings.register_profile(
    "ours", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ours")

# What the engine has once, under the name of the document: one worker has it, and none waits.
_NAMED = {"archon_stack", "compose_projects", "fresh_supabase", "service_container", "supabase"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests that share something to one worker, which makes it once."""
    for item in items:
        if isinstance(item, pytest.Function) and not item.get_closest_marker("xdist_group"):
            shared = _shared(item)
            if shared:
                item.add_marker(pytest.mark.xdist_group(shared))


def _shared(item: pytest.Function) -> str:
    if _NAMED & set(item.fixturenames):
        return "names"
    # pytest knows the scopes, and has no public way to ask for them.
    known = item._fixtureinfo.name2fixturedefs.values()
    return item.module.__name__ if any(d.scope == "module" for ds in known for d in ds) else ""


@pytest.fixture(scope="session")
def template() -> Iterator[Installation]:
    """The demo's database, as small as it gets, and one backup of it: copy it, never use it."""
    made = Installation.make()
    try:
        made.make_demo()
        yield made
    finally:
        made.teardown()


@pytest.fixture
def installation(template: Installation) -> Iterator[Installation]:
    """An installation of one's own, with one backup."""
    copy = template.copy()
    try:
        yield copy
    finally:
        copy.teardown()


@pytest.fixture(scope="module")
def module_installation(template: Installation) -> Iterator[Installation]:
    """An installation with one backup for all tests of a module; they leave it as it is."""
    copy = template.copy()
    try:
        yield copy
    finally:
        copy.teardown()


@pytest.fixture
def empty_installation() -> Iterator[Installation]:
    """A root folder with tasks.py and nothing else."""
    made = Installation.make()
    try:
        yield made
    finally:
        made.teardown()


@pytest.fixture
def running(installation: Installation) -> Iterator[Installation]:
    """An installation of one's own whose server runs throughout."""
    with installation.server():
        yield installation


@pytest.fixture(scope="session")
def host() -> Iterator[Host]:
    """A server behind a proxy; a module that wants another one overrides it."""
    with hosting(wheel_tools()) as host:
        yield host


@pytest.fixture(scope="module")
def made(host: Host) -> Iterator[Direct]:
    """A source behind a DSN, and one backup of it: copy it, never use it."""
    made = prepared(host)
    try:
        yield made
    finally:
        made.installation.teardown()


@pytest.fixture
def direct(made: Direct) -> Iterator[Direct]:
    """A source behind a DSN of one's own, with one backup."""
    with copied(made) as direct:
        yield direct


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """A server of the S3 protocol; tests make buckets of their own on it."""
    with s3.running() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_18() -> Iterator[Server]:
    """A running server of the wheel's version; tests make databases of their own on it."""
    yield from _server(wheel_tools())


@pytest.fixture(scope="session")
def postgres_15() -> Iterator[Server]:
    """A running PostgreSQL 15 of the system's packages (Debian's), without pgvector."""
    try:
        tools = local_tools(15)
        there = all(map(tools.has, SERVER_PROGRAMS))
    except PreconditionError:
        there = False
    require(there, "the package postgresql-15")
    yield from _server(local_tools(15))


def _server(tools: Tools) -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="pg-", dir=TMP) as folder:
        cluster = Cluster(tools, Path(folder) / "cluster", durable=False)
        try:
            cluster.create()
            with cluster.running() as address:
                yield server_at(address, tools)
        finally:
            cluster.remove()
