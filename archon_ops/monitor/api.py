"""The monitoring API: the document's three answers, and what else a watcher asks for.

It reads the backup directory and nothing else: it is given no server, no engine and no password,
and nothing in here writes. `router` can be mounted in another FastAPI application:

    from pathlib import Path

    from archon_ops.monitor.api import router
    from archon_ops.settings import load

    app.include_router(router(load(Path("/path/to/it"))))
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, FastAPI, HTTPException, Query, Response
from fastapi.responses import HTMLResponse, PlainTextResponse

from archon_ops import __version__
from archon_ops.model.documents import Document
from archon_ops.monitor import answers
from archon_ops.monitor.docs import page
from archon_ops.monitor.kept import Answers, Kept
from archon_ops.monitor.metrics import CONTENT_TYPE, exposition
from archon_ops.monitor.snapshot import Reader, Snapshot
from archon_ops.monitor.watched import Watched, watched
from archon_ops.settings import Settings

PREFIX = "/api/backup"
Clock = Callable[[], datetime]
SourceName = Annotated[
    str | None, Query(description="name of the source; the default one without it")
]
_UNKNOWN: dict[int | str, Document] = {
    404: {"model": answers.NotFound, "description": "there is no such source"}
}


def _now() -> datetime:
    return datetime.now(UTC)


class Sources:
    """All sources that are served.

    Args:
        settings: the configuration; its `source` is the default one.
        backup_dir: another backup directory of the default source.
        clock: the present, UTC.

    Raises:
        UsageError: the thresholds of the settings do not rise.
    """

    def __init__(
        self, settings: Settings, backup_dir: Path | None = None, clock: Clock = _now
    ) -> None:
        self._default = settings.source
        self._kept = {
            name: Kept(
                Reader(_confined(settings, name, backup_dir)),
                clock,
            )
            for name in sorted(settings.sources)
        }

    @property
    def names(self) -> list[str]:
        """Their names."""
        return list(self._kept)

    def warm(self, names: Sequence[str]) -> None:
        """Read these sources once, so that the first who asks need not wait for it.

        Args:
            names: of sources.
        """
        for name in names:
            self._kept[name].warm()

    async def answers(self, name: str | None) -> Answers:
        """What is known of one of them.

        Raises:
            HTTPException: there is no such source.
        """
        kept = self._kept.get(self._default if name is None else name)
        if kept is None:
            raise HTTPException(404, f"unknown source; known: {', '.join(self._kept)}")
        return await kept.answers()


def _confined(settings: Settings, name: str, backup_dir: Path | None) -> Watched:
    """A source of which nothing but the backup directory is read."""
    own = backup_dir if name == settings.source else None
    return watched(settings, name, own, confined=True)


class _Scrape:
    """The metrics of the watched sources, made anew when one of their snapshots is."""

    def __init__(self, names: Sequence[str], sources: Sources) -> None:
        self._names = names
        self._sources = sources
        self._made: tuple[list[Snapshot], bytes] = ([], b"")

    async def text(self) -> bytes:
        """All of them."""
        found = [(await self._sources.answers(name)).snapshot for name in self._names]
        if [id(snapshot) for snapshot in found] != [id(snapshot) for snapshot in self._made[0]]:
            self._made = found, await asyncio.to_thread(exposition, found)
        return self._made[1]


def router(settings: Settings, backup_dir: Path | None = None) -> APIRouter:
    """The document's endpoints, ready to be mounted.

    Args:
        settings: the configuration.
        backup_dir: another backup directory of the default source.

    Raises:
        UsageError: the thresholds of the settings do not rise.
    """
    return _router(Sources(settings, backup_dir))


def application(settings: Settings, sources: Sources) -> FastAPI:
    """The whole service.

    Args:
        settings: the configuration.
        sources: that are served.
    """
    app = FastAPI(title="archon-ops", version=__version__, docs_url=None, redoc_url=None)
    app.include_router(_router(sources))
    scrape = _Scrape(settings.watched_names, sources)

    @app.get("/metrics", tags=["service"], response_class=PlainTextResponse)
    async def metrics() -> Response:
        """The same in Prometheus's text format, of the sources that are watched."""
        return Response(await scrape.text(), media_type=CONTENT_TYPE)

    @app.get("/health", tags=["service"], response_model=answers.Service)
    async def service() -> Document:
        """How this service itself is; of the backups /api/backup/health tells."""
        return {
            "status": "healthy",
            "service": "archon-ops",
            "version": __version__,
            "sources": sources.names,
        }

    @app.get("/docs", include_in_schema=False, response_class=HTMLResponse)
    async def documentation() -> str:
        """What the API answers, for people."""
        return page(app.openapi())

    return app


def _router(sources: Sources) -> APIRouter:
    made = APIRouter(prefix=PREFIX, tags=["backup"], responses=_UNKNOWN)

    @made.get("/status", response_model=answers.Status)
    async def status(source: SourceName = None) -> Response:
        """How old, how sound and how many the backups are."""
        return _body((await sources.answers(source)).status)

    @made.get("/list", response_model=answers.Listing)
    async def listing(source: SourceName = None) -> Response:
        """All backups, newest first."""
        return _body((await sources.answers(source)).listing)

    @made.get("/health", response_model=answers.Verdict)
    async def health(source: SourceName = None) -> Response:
        """Whether all is well; the HTTP status is 200 also when it is not."""
        return _body((await sources.answers(source)).verdict)

    return made


def _body(content: bytes) -> Response:
    return Response(content, media_type="application/json", headers={"Cache-Control": "no-store"})
