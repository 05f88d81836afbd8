"""Docker compose, as the plugin or as the older program: up, build, pull."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from archon_ops.errors import OpsError, PreconditionError
from archon_ops.hosts import process

_FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
_ANSWER_SECONDS = 30.0
_UP_SECONDS = 600.0
_BUILD_SECONDS = 3600.0


@dataclass(frozen=True)
class Project:
    """One compose project.

    Attributes:
        setting: name of the setting that says where it is, for messages.
        folder: where its compose file lies.
        name: of the project; empty lets compose take the folder's.
    """

    setting: str
    folder: Path
    name: str = ""

    def up(self, *services: str, recreate: bool = False) -> None:
        """Create and start services, all of them without a name.

        Raises:
            PreconditionError: there is no compose, or no compose file.
            OpsError: compose failed.
        """
        extra = ("--force-recreate",) if recreate else ()
        self._run("up", "-d", *extra, *services, timeout=_UP_SECONDS)

    def build(self, *services: str) -> None:
        """Build the images of services."""
        self._run("build", *services, timeout=_BUILD_SECONDS)

    def pull(self, *services: str) -> None:
        """Pull the images of services."""
        self._run("pull", *services, timeout=_BUILD_SECONDS)

    def command(self, *args: str) -> tuple[str, ...]:
        """The command line, as a person can repeat it."""
        name = ("--project-name", self.name) if self.name else ()
        folder = ("--project-directory", str(self.folder))
        return (*_program(), "--file", str(self.file), *folder, *name, *args)

    @property
    def file(self) -> Path:
        """Its compose file.

        Raises:
            PreconditionError: there is none; names the setting.
        """
        for name in _FILES:
            if (self.folder / name).is_file():
                return self.folder / name
        raise PreconditionError(
            f"no compose file in {self.folder}",
            f"set {self.setting} in archon.toml to the folder that holds it",
        )

    def _run(self, *args: str, timeout: float) -> None:
        done = process.run(self.command(*args), timeout=timeout)
        if done.returncode != 0:
            said = " ".join(done.stderr.split())[-400:]
            raise OpsError(f"compose {args[0]} in {self.folder} failed: {said}", _hint(said))


@cache
def _program() -> tuple[str, ...]:
    if shutil.which("docker"):
        done = process.run(("docker", "compose", "version"), timeout=_ANSWER_SECONDS)
        if done.returncode == 0:
            return ("docker", "compose")
    if shutil.which("docker-compose"):
        return ("docker-compose",)
    raise PreconditionError(
        "neither `docker compose` nor docker-compose is installed",
        "install the package docker-compose-plugin or docker-compose",
    )


def _hint(said: str) -> str:
    if "name" in said and (
        "Additional properties" in said or "does not match any of the regexes" in said
    ):
        return "this docker-compose is 1.29, which knows no top-level `name:`; remove that line"
    if "Unsupported config option" in said or "version" in said:
        return "this docker-compose is old: install the compose plugin (docker-compose-plugin)"
    return "run the same compose command by hand to see all of its output"
