"""JupyterLab at the runbooks, with the settings that the commands have."""

from __future__ import annotations

import os
import sys

from archon_ops.hosts.process import attach
from archon_ops.runbook import templates
from archon_ops.settings import ENV_PREFIX, LAB_ROOT, own_variables
from archon_ops.site import Site

_DAY = 24 * 3600.0
# It would ask other computers for news of its makers, and for newer versions of itself.
_SILENT = (
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate",
)


def lab(site: Site, port: int, *, browser: bool) -> int:
    """Run JupyterLab until it is ended; its exit status.

    Args:
        site: of the source that notebooks work on unless they say otherwise.
        port: where it listens, on this machine only.
        browser: whether it opens one.
    """
    own = {
        name: value.get_secret_value()
        for name, value in own_variables().items()
        if name.startswith(ENV_PREFIX)
    }
    argv = [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--notebook-dir={templates.folder_of(site.settings)}",
        f"--port={port}",
        "--ip=127.0.0.1",
        *_SILENT,
        *(() if browser else ("--no-browser",)),
        *(("--allow-root",) if os.geteuid() == 0 else ()),  # that is asked for by inv lab
    ]
    ours = {f"{ENV_PREFIX}SOURCE": site.name, LAB_ROOT: str(site.settings.root)}
    return attach(argv, timeout=_DAY, env={**own, **ours})
