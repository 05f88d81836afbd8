"""The last step: manifest and dump get their names."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from archon_ops.actions import instructions
from archon_ops.model.backup import Manifest
from archon_ops.model.dump_names import dump_name
from archon_ops.model.units import human_duration
from archon_ops.postgres.server import Server
from archon_ops.site import Site
from archon_ops.storage import manifest as manifests
from archon_ops.storage.atomic import Temporary
from archon_ops.storage.names import manifest_path


def commit(
    site: Site, server: Server, temporary: Temporary, manifest: Manifest, label: str | None
) -> tuple[Path, Manifest]:
    """Manifest first; the dump's own rename is the commit.

    RESTORE.txt is on the disk before that, and gets its name after: it never names a dump that is
    not there.
    """
    name = _free_name(site, manifest, label)
    final = site.directory.path / name
    whole = replace(manifest, name=name, label=label, finished_at=site.clock())
    with instructions.prepared(site, server.kind, name, whole) as by_hand:
        manifests.write(final, whole, site.run_id, site.keys.sign)
        with _withdrawn_unless_published(final):
            site.report.step("backup.publish", f"Publishing {name}")
            temporary.publish(final)
        by_hand.replace(site.directory.path / instructions.NAME)
    took = (whole.finished_at - whole.snapshot_at).total_seconds()
    site.report.ok(
        f"{whole.rows} rows in {len(whole.tables)} tables fingerprinted and written in "
        f"{human_duration(took)}"
    )
    return final, whole


def commit_safety(site: Site, temporary: Temporary, manifest: Manifest) -> tuple[Path, Manifest]:
    """The same for a safety backup, which RESTORE.txt does not speak of."""
    name = _free_name(site, manifest, None, safety=True)
    final = site.directory.safety / name
    whole = replace(manifest, name=name, finished_at=site.clock())
    manifests.write(final, whole, site.run_id, site.keys.sign)
    with _withdrawn_unless_published(final):
        temporary.publish(final)
    return final, whole


def _free_name(site: Site, manifest: Manifest, label: str | None, *, safety: bool = False) -> str:
    moment = manifest.snapshot_at
    while not site.directory.is_free(dump_name(moment, label), safety=safety):
        moment += timedelta(seconds=1)
    return dump_name(moment, label)


@contextlib.contextmanager
def _withdrawn_unless_published(dump: Path) -> Iterator[None]:
    """Take the manifest back when the block did not give the dump its name."""
    try:
        yield
    except BaseException:
        if not os.path.lexists(dump):
            manifest_path(dump).unlink(missing_ok=True)
        raise
