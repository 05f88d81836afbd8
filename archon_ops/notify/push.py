"""Messages through apprise: mail, chat, phones, some hundred services. An optional extra."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

_SECONDS = 30.0
MISSING = "apprise is not installed: pip install 'archon-ops[notify]'"


def push(urls: Sequence[str], title: str, text: str) -> dict[str, str]:
    """Send one message through every channel.

    Args:
        urls: of apprise, one a channel; secrets.
        title: one line.
        text: the message.

    Returns:
        For every channel why it did not take the message; empty when it did.
    """
    return {
        channel: _within(lambda url=url: _sent(url, title, text))  # type: ignore[misc]
        for channel, url in zip(names(urls), urls, strict=True)
    }


def names(urls: Sequence[str]) -> list[str]:
    """Names of channels that give nothing away: their number and kind."""
    return [f"{url.partition('://')[0].lower()[:20]} {n}" for n, url in enumerate(urls, 1)]


def _sent(url: str, title: str, text: str) -> str:
    try:
        import apprise
    except ImportError:
        return MISSING
    messenger = apprise.Apprise()
    if not messenger.add(url):
        return "apprise knows no such URL"
    return "" if messenger.notify(body=text, title=title) else "the service did not take it"


def _within(send: Callable[[], str]) -> str:
    """What `send` says, within the deadline; whatever happens in a library stays there."""
    said: list[str] = []

    def call() -> None:
        try:
            said.append(send())
        except Exception as error:  # noqa: BLE001 - a dead channel must not stop a run
            said.append(f"{type(error).__name__} in apprise")

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(_SECONDS)
    return said[0] if said else f"no answer within {_SECONDS:.0f} s"
