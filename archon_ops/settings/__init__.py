"""The configuration: this package alone reads the environment, `.env` files and `archon.toml`."""

from archon_ops.settings.archon import archon_secret, archon_variables, backup_on_start
from archon_ops.settings.fields import DeadlineSettings, SourceSettings
from archon_ops.settings.load import (
    BACKUPS,
    LAB_ROOT,
    RUN_FOLDER,
    Settings,
    find_root,
    lab_root,
    load,
    own_variables,
    pause_point,
    run_folder,
    user_config,
)
from archon_ops.settings.offsite import OffsiteSettings
from archon_ops.settings.origin import CONFIG, ENV_PREFIX
from archon_ops.settings.pitr import PitrSettings, RepositorySettings

__all__ = [
    "BACKUPS",
    "CONFIG",
    "ENV_PREFIX",
    "LAB_ROOT",
    "RUN_FOLDER",
    "DeadlineSettings",
    "OffsiteSettings",
    "PitrSettings",
    "RepositorySettings",
    "Settings",
    "SourceSettings",
    "archon_secret",
    "archon_variables",
    "backup_on_start",
    "find_root",
    "lab_root",
    "load",
    "own_variables",
    "pause_point",
    "run_folder",
    "user_config",
]
