"""A backup, or none at all: dump and proof of one snapshot, checked, read back, named."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from archon_ops.actions.preflight import Readiness
from archon_ops.actions.recording import Recording
from archon_ops.actions.taking.checks import read_back, recheck
from archon_ops.actions.taking.commit import commit, commit_safety
from archon_ops.actions.taking.key import key_fingerprint
from archon_ops.actions.taking.writing import write
from archon_ops.errors import PreconditionError
from archon_ops.model.backup import Manifest
from archon_ops.model.units import human_size
from archon_ops.postgres import facts
from archon_ops.postgres.dump import exported_snapshot
from archon_ops.postgres.server import Server
from archon_ops.site import Site
from archon_ops.storage.atomic import Temporary
from archon_ops.storage.explain import no_room
from archon_ops.storage.space import free_bytes


def take(
    run: Recording, server: Server, ready: Readiness, label: str | None, *, safety: bool = False
) -> tuple[Path, Manifest]:
    """From the snapshot to the committed file."""
    site = run.site
    site.report.phase("backup.snapshot", f"Backing Up Database: {site.database} (Archon tables)")
    folder = site.directory.safety if safety else site.directory.path
    with (
        Temporary(folder, site.run_id) as temporary,
        _room(site, ready, temporary),
        key_fingerprint(site) as key,
    ):
        with exported_snapshot(server, site.database, ready.archon_tables) as snapshot:
            taken_at = site.clock()
            with server.connect(site.database) as connection:
                files = facts.file_nodes(connection, ready.scope)
            manifest = write(site, server, ready, snapshot, temporary, taken_at, key)
            site.report.step("backup.recheck", "Schema unchanged since the snapshot")
            recheck(site, server, ready, manifest, files)
        site.report.step("backup.readback", "Reading the file back")
        temporary.sync()
        manifest = read_back(site, server, temporary.path, manifest)
        site.report.step("backup.commit", "Naming the file")
        if safety:
            return commit_safety(site, temporary, manifest)
        return commit(site, server, temporary, manifest, label)


@contextlib.contextmanager
def _room(site: Site, ready: Readiness, temporary: Temporary) -> Iterator[None]:
    """Say of a full disk how much is needed, and how much is free once we have cleaned up."""
    try:
        yield
    except PreconditionError as error:
        if not no_room(error) or not temporary.path.exists():
            raise
        written = temporary.path.stat().st_size
        free = free_bytes(site.directory.path) + written
        raise PreconditionError(
            f"no space left in {site.directory.path}, the backup was not kept: it needs more than "
            f"{max(written, ready.expected_bytes)} bytes "
            f"({human_size(max(written, ready.expected_bytes))}), {free} bytes are free "
            f"({human_size(free)})",
            "free some space, or choose another --backup-dir",
        ) from error
