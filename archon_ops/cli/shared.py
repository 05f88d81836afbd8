"""What tasks share: the settings with their flags, as a site. Imported inside of task bodies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from archon_ops.cli.command import Run
from archon_ops.settings import load
from archon_ops.site import Site, make_site

if TYPE_CHECKING:
    from archon_ops.monitor.snapshot import Snapshot


def site_of(run: Run, backup_dir: str | None = None) -> Site:
    """The site of the source that the flags, the environment or the files name.

    Args:
        run: flags and console.
        backup_dir: directory given on the command line, relative to the working directory.

    Raises:
        UsageError: the configuration is malformed or names an unknown source.
    """
    return make_site(load(source=run.options.source), run.console, folder_of(backup_dir))


def folder_of(backup_dir: str | None) -> Path | None:
    """A directory given on the command line, relative to the working directory."""
    return Path(backup_dir).expanduser().absolute() if backup_dir is not None else None


def snapshot_of(site: Site) -> Snapshot:
    """The state of a site's backups.

    Raises:
        OpsError: their directory cannot be read.
    """
    from archon_ops.monitor.snapshot import Reader
    from archon_ops.monitor.watched import watched

    return Reader(watched(site.settings, site.name, site.directory.path)).read(site.clock())


def counted(number: int) -> str:
    """A number of backups, for people."""
    return f"{number} backup{'' if number == 1 else 's'}"
