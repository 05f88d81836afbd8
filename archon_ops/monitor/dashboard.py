"""The dashboard in a terminal: the document's panel, a source's backups and drills, their sizes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import DataTable, Footer, Static

from archon_ops.model.health import Level
from archon_ops.model.text import clean
from archon_ops.model.units import zulu
from archon_ops.monitor.alerts import Sent
from archon_ops.monitor.chart import sizes
from archon_ops.monitor.history import BACKUP_COLUMNS, RUN_COLUMNS, backup_rows, run_rows
from archon_ops.monitor.panel import Glyphs, panel
from archon_ops.monitor.pitr import COLUMNS, rows
from archon_ops.monitor.view import View

_STYLES = {
    Level.HEALTHY: "green",
    Level.AGING: "yellow",
    Level.OUTDATED: "red",
    Level.CRITICAL: "bold red",
    Level.MISSING: "bold",
}
_REMEMBERED = 8
_SCROLLBAR = 3


@dataclass(frozen=True)
class Looking:
    """How the dashboard looks.

    Attributes:
        look: the sources, as they are at a time; may take seconds.
        say: tells of them what is new.
        clock: the present, UTC.
        seconds: between two looks.
        glyphs: signs to draw with.
    """

    look: Callable[[datetime], tuple[View, ...]]
    say: Callable[[Sequence[View], datetime], Sent]
    clock: Callable[[], datetime]
    seconds: float
    glyphs: Glyphs


class Dashboard(App[int]):
    """The panel, kept up to date.

    Args:
        looking: how it looks.

    Attributes:
        views: the sources, as last seen.
        said: all console lines so far.
    """

    TITLE = "archon-ops"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #panel { width: auto; }
    #news { height: auto; max-height: 8; color: $text-warning; }
    #looked { height: 1; color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "refresh_now", "refresh"),
        Binding("l", "backups(0)", "list"),
        *(Binding(str(n), f"backups({n})", f"list of {n}", show=False) for n in range(1, 10)),
        Binding("q,ctrl+c", "quit", "quit"),
    ]

    def __init__(self, looking: Looking) -> None:
        super().__init__()
        self._looking = looking
        self.views: tuple[View, ...] = ()
        self.said: list[str] = []
        self._turning: asyncio.AbstractEventLoop | None = None
        self._asked: int | None = None

    def end(self, code: int) -> None:
        """End in order with this result, once begun; may be called from a handler of signals."""
        self._asked = code
        if self._turning is not None:
            self._turning.call_soon_threadsafe(self.exit, code)

    def compose(self) -> ComposeResult:
        """The widgets."""
        with VerticalScroll():
            yield Static("looking …", id="panel")
        yield Static("", id="news", markup=False)
        yield Static("", id="looked", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """Begin to look."""
        self._turning = asyncio.get_running_loop()
        if self._asked is not None:
            self.exit(self._asked)
        self.set_interval(self._looking.seconds, self.action_refresh_now)
        self.action_refresh_now()

    def on_resize(self) -> None:
        """Draw it anew for another width, once that is known."""
        self.call_after_refresh(self._draw)

    def action_refresh_now(self) -> None:
        """Look now; not where the last look has not ended."""
        if not any(worker.name == "look" and worker.is_running for worker in self.workers):
            self.run_worker(self._look, name="look", thread=True)

    def action_backups(self, number: int) -> None:
        """Show the backups and drills of source number N; 0 is the first that has files here."""
        here = [view for view in self.views if view.snapshot]
        chosen = self.views[number - 1 : number] if number else here[:1]
        if chosen and chosen[0].snapshot:
            self.push_screen(Backups(chosen[0], self._looking.glyphs))
        elif chosen:
            self.notify("of an API only its status is known", markup=False)

    def _look(self) -> None:
        now = self._looking.clock()
        views = self._looking.look(now)
        sent = self._looking.say(views, now)
        lines = [f"[WARN] {m.console}" for m in sent.messages if m.severity != "INFO"]
        lines += [f"[INFO] {m.console}" for m in sent.messages if m.severity == "INFO"]
        lines += [f"[WARN] channel {c}: {clean(p)}" for c, p in sent.channels.items() if p]
        lines += [f"[WARN] not written down: {clean(p)}" for p in sent.problems]
        self.call_from_thread(self._show, views, lines, now)

    def _show(self, views: tuple[View, ...], lines: Iterable[str], now: datetime) -> None:
        self.views = views
        self.said.extend(line for line in lines if line not in self.said[-_REMEMBERED:])
        self._draw()
        looked = f"looked at {zulu(now)}, every {self._looking.seconds:g} s"
        self.query_one("#looked", Static).update(looked)
        self.query_one("#news", Static).update("\n".join(self.said[-_REMEMBERED:]))

    def _draw(self) -> None:
        if self.views:
            lines = panel(self.views, self.size.width - _SCROLLBAR, self._looking.glyphs)
            text = Text("\n").join(Text(line.text, _STYLES.get(line.level, "")) for line in lines)  # type: ignore[arg-type]
            self.query_one("#panel", Static).update(text)


class Backups(Screen[None]):
    """The backups of one source, their sizes, and its last runs.

    Args:
        view: the source.
        glyphs: signs to draw with.
    """

    CSS = """
    DataTable { height: auto; }
    .title { text-style: bold; margin-top: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace,l", "app.pop_screen", "back"),
        Binding("q,ctrl+c", "app.quit", "quit"),
    ]

    def __init__(self, view: View, glyphs: Glyphs) -> None:
        super().__init__()
        self._view = view
        self._glyphs = glyphs

    def compose(self) -> ComposeResult:
        """The widgets."""
        with VerticalScroll():
            yield Static(f"Backups of {clean(self._view.name)}", classes="title", markup=False)
            yield DataTable(id="backups", cursor_type="row")
            if self._view.snapshot and self._view.snapshot.pitr:
                yield Static("Point-in-time recovery", classes="title")
                yield DataTable(id="pitr", cursor_type="none")
            yield Static("Sizes", classes="title")
            yield Static("", id="sizes", markup=False)
            yield Static("Drills, verifications and failures", classes="title")
            yield DataTable(id="runs", cursor_type="none")
        yield Footer()

    def on_mount(self) -> None:
        """Fill the tables."""
        found = self._view.snapshot
        if found is None:
            return
        for name, columns, cells in (
            ("#backups", BACKUP_COLUMNS, backup_rows(found)),
            ("#runs", RUN_COLUMNS, run_rows(found)),
            *((("#pitr", COLUMNS, rows(found.pitr, found.taken_at)),) if found.pitr else ()),
        ):
            table: DataTable[Text] = self.query_one(name, DataTable)
            table.add_columns(*columns)
            table.add_rows([Text(clean(cell)) for cell in row] for row in cells)
        self._draw()

    def on_resize(self) -> None:
        """Draw the chart anew for another width."""
        self.call_after_refresh(self._draw)

    def _draw(self) -> None:
        if found := self._view.snapshot:
            bars = sizes(found.catalog.ordinary, self.size.width - _SCROLLBAR, self._glyphs)
            self.query_one("#sizes", Static).update("\n".join(bars))
