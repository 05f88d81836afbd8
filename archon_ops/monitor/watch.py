"""Everything that is watched: sources whose files are here, and APIs elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from archon_ops.errors import UsageError
from archon_ops.hosts import http
from archon_ops.monitor import remote
from archon_ops.monitor.remote import Remote
from archon_ops.monitor.snapshot import Reader
from archon_ops.monitor.view import View, local_view
from archon_ops.monitor.watched import watched
from archon_ops.settings import Settings

_AT_ONCE = 8


@dataclass(frozen=True)
class Watch:
    """What is looked at, again and again.

    Attributes:
        remotes: APIs; they come first, as what lies around the own sources.
        readers: of the own sources.
    """

    remotes: tuple[Remote, ...]
    readers: tuple[Reader, ...]

    def look(self, now: datetime) -> tuple[View, ...]:
        """All of them, at once; none keeps the others waiting longer than its deadline.

        Args:
            now: UTC time that ages are counted to.
        """
        asks: list[Callable[[], View]] = [
            *(lambda one=one: remote.look(one) for one in self.remotes),
            *(lambda one=one: local_view(one.look(now)) for one in self.readers),
        ]
        with ThreadPoolExecutor(min(len(asks), _AT_ONCE), thread_name_prefix="watch") as pool:
            return tuple(pool.map(lambda ask: ask(), asks))


def watch(settings: Settings, also: Sequence[str] = ()) -> Watch:
    """What the settings, and the command line, want to be watched.

    Args:
        settings: the configuration.
        also: more: names of sources, or URLs of APIs.

    Raises:
        UsageError: one of them is neither, or the thresholds do not rise.
    """
    remotes = [
        Remote(key, found.display_name or key, found.url.get_secret_value())
        for key, found in settings.monitor.remotes.items()
    ]
    names = list(settings.watched_names)
    for text in also:
        if "://" in text:
            remotes.append(_named_by_url(text))
        elif text not in names:
            names.append(text)
    for one in remotes:
        _require_url(one)
    return Watch(tuple(remotes), tuple(Reader(watched(settings, name)) for name in names))


def _require_url(one: Remote) -> None:
    try:
        http.origin(one.url)
    except UsageError as error:
        raise UsageError(f"monitor.remotes.{one.key}: {error.message}", error.hint) from error


def _named_by_url(url: str) -> Remote:
    server = http.origin(url).partition("://")[2]
    return Remote(server, server, url)
