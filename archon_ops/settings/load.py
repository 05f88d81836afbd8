"""Everything that can be configured: flags > environment > .env > archon.toml > defaults.

The root folder is found here; relative paths start from it.
"""

from __future__ import annotations

import os
import re
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from archon_ops.errors import UsageError
from archon_ops.model.health import Thresholds, following
from archon_ops.model.schedule import Entry
from archon_ops.settings.archon import unreadable
from archon_ops.settings.fields import (
    BUILT_IN,
    DeadlineSettings,
    HealthSettings,
    MonitorSettings,
    ObjectiveSettings,
    RetentionSettings,
    ScheduleSettings,
    SourceSettings,
)
from archon_ops.settings.offsite import OffsiteSettings
from archon_ops.settings.origin import CONFIG, ENV_PREFIX, explain, line_of
from archon_ops.settings.types import Age

# Where sources that say nothing of it have their backup directories, below the root.
BACKUPS = Path("backups")
# Tells a notebook's kernel which run it belongs to.
RUN_FOLDER = "ARCHON_OPS_RUN_FOLDER"
# Tells a notebook in JupyterLab whose it is: it may lie outside of that root.
LAB_ROOT = "ARCHON_OPS_LAB_ROOT"


# Part of paths, of plans and of names on the server; lower case, because variables have no case.
_SOURCE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


class Settings(BaseSettings):
    """The whole configuration, frozen.

    Attributes:
        root: folder that relative paths start from; found, not configured.
        source: name of the source that commands work on.
        sources: all sources by name; `archon` and `demo` are built in.
        archon_home: where Archon's .env and compose file are (default: the root).
        portable: whether dumps keep to gzip, which every PostgreSQL tool reads; None: where there
            is a place offsite, because a copy has to be proven anywhere.
        offsite: the places that copies go to, by name.
        kept_for: how long the database that a restore replaced is kept for `inv undo`.
        operator: who answers for what is done here, as evidence names them.
    """

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter="__", extra="ignore", frozen=True
    )
    root: Path
    source: str = "archon"
    sources: dict[str, SourceSettings] = Field(default_factory=dict, validate_default=True)
    archon_home: Path = Path()
    portable: bool | None = None
    offsite: dict[str, OffsiteSettings] = Field(default_factory=dict)
    kept_for: Age = timedelta(days=7)
    operator: str = ""
    objectives: ObjectiveSettings = ObjectiveSettings()
    retention: RetentionSettings = RetentionSettings()
    health: HealthSettings = HealthSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    deadlines: DeadlineSettings = DeadlineSettings()
    monitor: MonitorSettings = MonitorSettings()

    @model_validator(mode="before")
    @classmethod
    def _with_built_in_sources(cls, values: dict[str, Any]) -> dict[str, Any]:
        given = values.get("sources") or {}
        if not isinstance(given, dict):
            return values  # the field's own check says what is wrong
        merged = {
            name: {**fields, **own} if isinstance(own := given.get(name, {}), dict) else own
            for name, fields in BUILT_IN.items()
        }
        return {**values, "sources": {**given, **merged}}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put archon.toml behind the environment; drop the secrets directory of the library."""
        root = Path(str(init_settings()["root"]))
        return (
            init_settings,
            env_settings,
            DotEnvSettingsSource(settings_cls, env_file=root / ".env"),
            InitSettingsSource(settings_cls, init_kwargs=_read_config(root / CONFIG)),
        )

    def path(self, relative: Path) -> Path:
        """`relative` under the root; an absolute path stays itself."""
        return self.root / relative

    @property
    def keeps_to_gzip(self) -> bool:
        """Whether dumps are made so that every PostgreSQL tool reads them."""
        return bool(self.offsite) if self.portable is None else self.portable

    @property
    def state(self) -> Path:
        """Folder of embedded clusters and keys."""
        return self.root / ".archon"

    def backup_dir(self, name: str) -> Path:
        """Where the backups of source `name` lie."""
        return self.path(self.sources[name].backup_dir or BACKUPS / name)

    @property
    def watched_names(self) -> tuple[str, ...]:
        """Names of the sources that are watched."""
        return self.monitor.sources or (self.source,)

    @property
    def thresholds(self) -> Thresholds:
        """Ages at which a backup is worrying: as set, else by the schedule, else the document's.

        Raises:
            UsageError: they do not rise.
        """
        backup = self.schedule.backup
        usual = following(backup.interval, str(backup)) if backup else Thresholds()
        given = (self.health.aging, self.health.outdated, self.health.critical)
        if not any(given):
            return usual
        ages = zip(given, (usual.aging, usual.outdated, usual.critical), strict=True)
        aging, outdated, critical = (
            hours if age is None else age.total_seconds() / 3600 for age, hours in ages
        )
        return Thresholds(aging, outdated, critical, "the settings")

    def pitr_due(self, name: str) -> dict[str, Entry]:
        """When pgBackRest's backups of source `name` are due, by their kind."""
        if not self.sources[name].pitr.repositories:
            return {}
        due = {"full": self.schedule.pitr_full, "incr": self.schedule.pitr_incr}
        return {kind: entry for kind, entry in due.items() if entry}

    def home(self, name: str) -> Path:
        """Where the Archon of source `name` has its .env."""
        return self.path(self.sources[name].archon_home or self.archon_home)


def find_root(start: Path) -> Path:
    """The nearest folder upward with archon.toml or tasks.py, else `start` itself."""
    for folder in (start, *start.parents):
        if (folder / CONFIG).is_file() or (folder / "tasks.py").is_file():
            return folder
    return start


def load(start: Path | None = None, **flags: Any) -> Settings:
    """Read the configuration.

    Args:
        start: folder to look for the root from; the working directory by default.
        flags: fields given on the command line; None means not given.

    Raises:
        UsageError: a file or variable is malformed, or names an unknown source.
    """
    root = find_root((start or Path.cwd()).absolute())
    given = {key: value for key, value in flags.items() if value is not None}
    try:
        settings = Settings(root=root, **given)
    except ValidationError as error:
        raise UsageError(*explain(error, root)) from error
    except SettingsError as error:
        raise UsageError(
            f"a variable {ENV_PREFIX}… is malformed: {error}",
            f"set one value a variable, as in {ENV_PREFIX}SOURCES__NAME__DSN",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(root / ".env", error) from error
    for name, what in (
        *((name, "source") for name in settings.sources),
        *((name, "place offsite") for name in settings.offsite),
    ):
        if not _SOURCE_NAME.fullmatch(name):
            raise UsageError(
                f"{line_of(root / CONFIG, (name,))}: {name!r} cannot be the name of a {what}",
                "use up to 40 of a-z 0-9 _ - and begin with a letter or digit",
            )
    if settings.source not in settings.sources:
        raise UsageError(
            f"unknown source {settings.source!r}",
            f"known: {', '.join(sorted(settings.sources))}; [sources.NAME] in {CONFIG} adds more",
        )
    for name in settings.monitor.sources:
        if name not in settings.sources:
            raise UsageError(
                f"{line_of(root / CONFIG, ('monitor', 'sources'))}: unknown source {name!r}",
                f"known: {', '.join(sorted(settings.sources))}",
            )
    for name in settings.monitor.remotes:
        if name in settings.sources:
            raise UsageError(
                f"{line_of(root / CONFIG, (name,))}: {name!r} is a source and cannot be a remote",
                "give the remote another name",
            )
    return settings


def pause_point() -> str | None:
    """The phase at which a run holds still, so that a fault can be injected there."""
    return os.environ.get("ARCHON_OPS_PAUSE_AT")


def run_folder() -> Path | None:
    """Where a notebook that a command executes writes down what it does; None by hand."""
    folder = os.environ.get(RUN_FOLDER)
    return Path(folder) if folder else None


def user_config() -> Path:
    """Folder in which programs of this user keep their configuration."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")


def lab_root() -> Path | None:
    """The root folder of the command that opened JupyterLab; None elsewhere."""
    folder = os.environ.get(LAB_ROOT)
    return Path(folder) if folder else None


def own_variables() -> dict[str, SecretStr]:
    """Our own environment, for those who have to keep its secrets out of something."""
    return {name: SecretStr(value) for name, value in os.environ.items()}


def _read_config(file: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        where = f"{file}:{line[1]}" if line else str(file)
        raise UsageError(f"{where}: not valid TOML: {error}", f"correct {where}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(file, error) from error
    unknown = set(values) - (set(Settings.model_fields) - {"root"})
    if unknown:
        name = sorted(unknown)[0]
        raise UsageError(f"{line_of(file, (name,))}: unknown setting {name!r}", f"correct {file}")
    return values
