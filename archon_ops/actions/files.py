"""Files for PostgreSQL's programs, where the next run sweeps what a killed one left."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from archon_ops.postgres.restore import FileOf
from archon_ops.site import Site
from archon_ops.storage.atomic import Temporary


def file_of(site: Site) -> FileOf:
    """Makes files in the backup directory, each for the length of a block."""

    @contextlib.contextmanager
    def made(data: bytes, suffix: str) -> Iterator[Path]:
        with Temporary(site.directory.path, site.run_id, suffix) as temporary:
            temporary.write(data)
            yield temporary.path

    return made
