"""The sandbox of a source, in which its whole cluster is brought back."""

from __future__ import annotations

from contextlib import AbstractContextManager

from archon_ops.actions.pitr.here import require_here
from archon_ops.actions.pitr.reach import ca_file, configured, repositories, stanza_of
from archon_ops.errors import PreconditionError, UsageError
from archon_ops.hosts.described import Container
from archon_ops.model.pitr.config import Config
from archon_ops.model.pitr.failures import not_there
from archon_ops.model.pitr.stock import Stock
from archon_ops.postgres.direct import parse_dsn, shown
from archon_ops.postgres.pitr import in_container, on_machine
from archon_ops.postgres.pitr.sandbox import Room
from archon_ops.settings import PitrSettings
from archon_ops.site import Site
from archon_ops.storage.folders import ensure_folder

# Networks of a container that has none of its own.
_NO_NETWORK = {"host", "none"}


def sandbox(site: Site, place: in_container.Place | None = None) -> AbstractContextManager[Room]:
    """An empty one of the source's own image, or on this machine, for the length of the block.

    Args:
        site: of the source.
        place: where its cluster shall lie if it is to serve; None: in the sandbox itself.

    Raises:
        PreconditionError: it is not configured, or there is nothing to make it of.
    """
    deadlines, run_id = site.settings.deadlines, site.run_id
    limits, seconds = (deadlines.connect, deadlines.stall, deadlines.lock), deadlines.restore
    if site.source.kind == "direct":
        return on_machine.room(_here(site), run_id=run_id, limits=limits, seconds=seconds)
    return in_container.room(
        site.engine,
        _plan(site, place),
        run_id=run_id,
        limits=limits,
        seconds=seconds,
        report=site.report,
    )


def require_usable(site: Site, stock: Stock, room: Room) -> None:
    """Make sure that the repository holds what this sandbox can run.

    Raises:
        PreconditionError: it holds nothing, or another version's.
    """
    if not stock.exists and stock.unreadable:
        raise not_there(stock)
    if not stock.exists or not stock.labels:
        where = ", ".join(r.shown for r in repositories(configured(site)))
        what = "no backup" if stock.exists else f"nothing of a stanza {stock.stanza}"
        said = "; ".join(stock.problems.values())
        raise PreconditionError(
            f"the repository {where} holds {what}{f' ({said})' if said else ''}",
            "inv pitr.backup"
            if stock.exists
            else "is pitr.stanza right? A new one: inv pitr.setup",
        )
    if stock.version and int(float(stock.version)) != room.inside.major:
        raise PreconditionError(
            f"the repository's backups are of PostgreSQL {stock.version}, and the image of "
            f"container {site.source.container} holds {room.inside.version}: no server of it can "
            "run them",
            "bring the image of that version back beside this one, and name its container",
        )


def _here(site: Site) -> on_machine.Plan:
    require_here(site)
    settings, source = configured(site), site.source
    parts = parse_dsn(source.dsn.get_secret_value())
    places = site.settings.state / "sandboxes"
    for folder in (site.settings.state, places):
        ensure_folder(folder)
    return on_machine.Plan(
        config=_config(site, settings),
        authorities=_authorities(site, settings),
        scratch=site.settings.path(settings.scratch),
        places=places,
        os_user=settings.user,
        role=settings.role or source.user or settings.user,
        address={"user": parts["user"]} if "user" in parts else {},
        shown=shown(parts),
    )


def _plan(site: Site, place: in_container.Place | None) -> in_container.Plan:
    settings, source = configured(site), site.source
    found = site.engine.find(source.container)
    if not found:
        raise PreconditionError(
            f"container {source.container} does not exist, so there is no image to make a sandbox "
            "of",
            "docker compose up -d in the project that holds the database",
        )
    config = _config(site, settings)
    remote = any(r.s3 for r in config.repositories)
    return in_container.Plan(
        source=found[0],
        config=config,
        authorities=_authorities(site, settings),
        folders=dict(_volume(found[0], r.path) for r in config.repositories if r.s3 is None),
        place=place,
        networks=_networks(found[0]) if remote else (),
        os_user=settings.user,
        role=source.user,
        password=source.password.get_secret_value(),
    )


def _config(site: Site, settings: PitrSettings) -> Config:
    return Config(
        stanza=stanza_of(site),
        data_folder="",
        repositories=repositories(settings),
        process_max=settings.process_max,
        compress=settings.compress,
    )


def _volume(container: Container, path: str) -> tuple[str, str]:
    """Where the folder of a repository comes from: folder inside -> volume, or folder of the host.

    Raises:
        PreconditionError: it lies in the container itself.
    """
    found = container.mount_of(path)
    if found is None:
        raise PreconditionError(
            f"the repository {path} lies inside of container {container.name} itself, and would be "
            "gone with it",
            "put it on a volume of its own: inv pitr.setup shows how",
        )
    return found


def _networks(container: Container) -> tuple[str, ...]:
    return tuple(n for n in container.networks if n not in _NO_NETWORK) or ("bridge",)


def _authorities(site: Site, settings: PitrSettings) -> dict[str, bytes]:
    """The certificate authorities of repositories, by the paths that the configuration names."""
    found = {}
    for number, repository in settings.repositories.items():
        if repository.ca_file is None:
            continue
        file = site.settings.path(repository.ca_file)
        try:
            found[ca_file(number, settings)] = file.read_bytes()
        except OSError as error:
            raise UsageError(f"pitr.repo{number}.ca_file: {error.strerror}: {file}") from error
    return found
