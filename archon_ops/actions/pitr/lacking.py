"""What a host lacks for point-in-time recovery, and how it gets there so that it stays."""

from __future__ import annotations

import shlex
from pathlib import Path, PurePosixPath

from archon_ops.actions.pitr.reach import Reached
from archon_ops.errors import PreconditionError
from archon_ops.model.pitr.recipe import Recipe, dockerfile, override
from archon_ops.postgres.pitr.pgbackrest import PROGRAM, InContainer
from archon_ops.site import Site

_SECONDS = 60.0
_DOCKERFILE, _OVERRIDE = "Dockerfile", "compose.pitr.yml"
_SERVICE = "com.docker.compose.service"
_FILES = "com.docker.compose.project.config_files"
_FOLDER = "com.docker.compose.project.working_dir"
_PROJECT = "com.docker.compose.project"


def version_on(at: Reached) -> str:
    """Version of the pgBackRest there; empty where there is none."""
    try:
        return at.backrest.version()
    except PreconditionError:
        return ""


def _folders(at: Reached) -> dict[str, str]:
    """Folders of the host that have to outlive its container -> what a volume is called."""
    config = str(PurePosixPath(at.backrest.config).parent)
    found = {config: "pitr-config"}
    for repository in at.config.repositories:
        if repository.s3 is None:
            found[repository.path] = f"pitr-repo{repository.number}"
    if at.config.asynchronous:
        found[at.config.spool] = "pitr-spool"
    return found


def lacking_on(at: Reached) -> tuple[str, ...]:
    """What is missing, or would be gone with the container; one line each."""
    host = at.backrest.host
    missing = [] if version_on(at) else [f"{PROGRAM} is not installed {host.there}"]
    if isinstance(host, InContainer):
        return (*missing, *_lost_with_it(at, host))
    for folder in _folders(at):
        if host.run(("test", "-d", folder), timeout=_SECONDS).returncode != 0:
            missing.append(f"there is no folder {folder} on {host.name}")
    return tuple(missing)


def _lost_with_it(at: Reached, host: InContainer) -> tuple[str, ...]:
    """What is in a container now and would not be in the one that compose makes tomorrow."""
    path = host.run(("which", PROGRAM), timeout=_SECONDS).stdout.strip()
    added = host.engine.added(host.container.id)
    found = [f"{path} was put into {host.name} and is not in its image"] if path in added else []
    for folder in _folders(at):
        if host.container.mount_of(folder) is None:
            found.append(f"{folder} lies in {host.name} itself, and goes with it")
    if at.config.asynchronous and not host.container.init:
        found.append("pitr.asynchronous wants `init: true`: PostgreSQL is process 1")
    return tuple(found)


def remedy(site: Site, at: Reached) -> tuple[dict[str, str], tuple[str, ...]]:
    """Files that bring what is missing, and the commands for it."""
    host = at.backrest.host
    if not isinstance(host, InContainer):
        there = bool(version_on(at))
        install = () if there else ("apt-get install pgbackrest   # or your system's way",)
        make = ("install", "-d", "-m", "0750", "-o", site.source.pitr.user, *_folders(at))
        return {}, (*install, shlex.join(make), "inv pitr.setup")
    labels = host.container.labels
    context = site.settings.state / "pitr" / site.name
    image = host.engine.image(host.container.image)
    service = labels.get(_SERVICE) or host.container.name
    recipe = Recipe(
        image=image.reference,
        image_user=image.user,
        manager=_manager(host),
        user=host.user,
        folders=_folders(at),
        service=service,
        context=str(context),
        tag=f"archon-ops-pitr-{site.name}",
    )
    # Some versions of compose tell them as they were typed, from the project's own folder.
    home = Path(labels.get(_FOLDER) or "")
    own = [str(home / name) for name in labels.get(_FILES, "").split(",") if name]
    base = _base_text(own)
    project = ("--project-name", labels[_PROJECT]) if _PROJECT in labels else ()
    given = own or ["COMPOSE_FILE_OF_THE_DATABASE"]
    files = [word for name in (*given, str(context / _OVERRIDE)) for word in ("--file", name)]
    up = shlex.join(("docker", "compose", *project, *files, "up", "-d", "--build", service))
    return (
        {
            str(context / _DOCKERFILE): dockerfile(recipe),
            str(context / _OVERRIDE): override(recipe, base),
        },
        (up, "inv pitr.setup"),
    )


def _base_text(own: list[str]) -> str:
    """The project's compose file, as far as it can be read here."""
    try:
        return Path(own[0]).read_text(encoding="utf-8") if own else ""
    except OSError:
        return ""


def _manager(host: InContainer) -> str:
    done = host.run(("which", "apk"), timeout=_SECONDS)
    return "apk" if done.returncode == 0 else "apt"
