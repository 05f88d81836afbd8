"""Where benchmarks run: a root folder of their own, with a sample database of the wanted size."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from archon_ops.model.report import Report
from archon_ops.postgres import databases, facts
from archon_ops.postgres.server import Server
from archon_ops.rig import sample
from archon_ops.settings import load
from archon_ops.site import Site, make_site
from archon_ops.storage.folders import ensure_folder

Stage = tuple[Site, Server, int, Path]
_CONFIG = '[sources.bench]\nkind = "embedded"\ndatabase = "postgres"\n'


@contextlib.contextmanager
def stage(parent: Path, size_bytes: int, report: Report) -> Iterator[Stage]:
    """A site with a running server, the size of its database, and a folder for outputs.

    Args:
        parent: where all of it is made, and removed again.
        size_bytes: wanted size of Archon's tables.
        report: is told how the sample grows.
    """
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    root = Path(tempfile.mkdtemp(prefix="bench-", dir=parent))
    try:
        (root / "archon.toml").write_text(_CONFIG, encoding="utf-8")
        site = make_site(load(root, source="bench"), report)
        try:
            with site.server(create=True) as server:
                with server.connect(site.database) as connection:
                    sample.create(connection, size_bytes, report, encryption_key="bench")
                with server.connect(databases.MAINTENANCE) as connection:
                    connection.execute("CHECKPOINT")
                with server.connect(site.database) as connection:
                    size = facts.database_bytes(connection)
                yield site, server, size, root
        finally:
            site.cluster.remove()
    finally:
        shutil.rmtree(root, ignore_errors=True)


@contextlib.contextmanager
def on_source(site: Site) -> Iterator[Stage]:
    """The same on a source as it is; its database is only read, its backups are left alone."""
    ensure_folder(site.settings.state)
    with (
        tempfile.TemporaryDirectory(prefix="bench-", dir=site.settings.state) as folder,
        site.server() as server,
    ):
        with server.connect(site.database) as connection:
            size = facts.database_bytes(connection)
        yield site, server, size, Path(folder)
