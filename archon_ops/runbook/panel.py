"""The size analysis with widgets, for a person in Jupyter; executed by a command it is a note."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from archon_ops.errors import OpsError
from archon_ops.model.report import Silent
from archon_ops.model.shown import Table, facts
from archon_ops.runbook import analysis
from archon_ops.runbook.analysis import Analysis, View
from archon_ops.runbook.look import html
from archon_ops.runbook.session import Session
from archon_ops.runbook.ticket import BY_HAND
from archon_ops.settings import load
from archon_ops.site import Site, make_site

_PERIODS = (("7 days", 7), ("30 days", 30), ("90 days", 90), ("a year", 365))
_DIMENSIONS = (("as now", 0), *((str(d), d) for d in (384, 768, 1024, 1536, 3072)))
_STYLE = """<style>
.archon-views th, .archon-views td { text-align: left; padding: .1rem 1rem .1rem 0; }
.archon-views caption { text-align: left; font-weight: 600; padding-top: .8rem; }
</style>"""
_MOST_ROWS, _MOST_KEPT = 20_000, 100


class Panel:
    """Widgets and the views that follow them.

    Args:
        site: of the source that is shown first.
        found: what was read of it.
        picked: what is picked first.

    Attributes:
        widget: what Jupyter displays.
    """

    def __init__(self, site: Site, found: Analysis, picked: View) -> None:
        import ipywidgets

        # People try on after the run is over, when nothing writes down what is told any more.
        self._site, self._found, self._picked = site.reporting_to(Silent()), found, picked
        self._inputs = _inputs(site, found, picked)
        self._views = ipywidgets.HTML()
        self._views.add_class("archon-views")
        for name, one in self._inputs.items():
            one.add_class(f"archon-{name}")
            one.observe(self._changed, names="value")
        box = ipywidgets.VBox([*self._inputs.values(), self._views])
        box.add_class("archon-panel")
        self.widget: Any = box
        self._draw()

    def shown(self) -> tuple[Table, ...]:
        """What stands for it where no widget can be shown."""
        return (_note(),)

    def _changed(self, change: Any) -> None:
        """Draw anew; a source that cannot be read is told where its views would be."""
        try:
            if change["owner"] is self._inputs["source"]:
                self._read(str(change["new"]))
            self._picked = self._chosen()
            self._draw()
        except OpsError as error:
            self._views.value = html(facts("It cannot be shown", (error.message, error.hint)))

    def _read(self, source: str) -> None:
        self._site = make_site(load(source=source), self._site.report)
        self._found = analysis.read(self._site, self._picked.largest)
        names = [table.size.table for table in self._found.audit.tables]
        with self._inputs["tables"].hold_trait_notifications():
            self._inputs["tables"].options = names

    def _chosen(self) -> View:
        value = {name: one.value for name, one in self._inputs.items()}
        choice = replace(
            self._picked.choice,
            rows_per_week=value["rows"],
            dimension=value["dimension"],
            half=value["half"],
            retention=value["retention"],
        )
        return replace(
            self._picked, days=value["period"], tables=tuple(value["tables"]), choice=choice
        )

    def _draw(self) -> None:
        shown = map(html, analysis.views(self._found, self._picked))
        self._views.value = "\n".join([_STYLE, *shown])


class _Note:
    """The same where a command executes the notebook."""

    def shown(self) -> tuple[Table, ...]:
        """That the views are above."""
        return (_note(),)


def panel(run: Session, found: Analysis, picked: View) -> Panel | _Note:
    """Widgets for a person; a note where a command executes the notebook."""
    return Panel(run.site, found, picked) if run.ticket.trigger == BY_HAND else _Note()


def _note() -> Table:
    return facts("Pick and try", ("Widgets", "in inv lab; their views are those above"))


def _inputs(site: Site, found: Analysis, picked: View) -> dict[str, Any]:
    """The widgets by name."""
    import ipywidgets as w

    style = {"description_width": "11rem"}
    wide = {"style": style, "layout": w.Layout(width="34rem")}
    names = [table.size.table for table in found.audit.tables]
    choice, days = picked.choice, [days for _, days in _PERIODS]
    periods = [*_PERIODS, *([] if picked.days in days else [(f"{picked.days} days", picked.days)])]
    return {
        "source": w.Dropdown(
            options=sorted(site.settings.sources), value=site.name, description="source", **wide
        ),
        "period": w.Dropdown(options=periods, value=picked.days, description="period", **wide),
        "tables": w.SelectMultiple(
            options=names, value=picked.tables, description="tables (none: all)", rows=5, **wide
        ),
        "rows": w.IntSlider(
            value=min(choice.rows_per_week, _MOST_ROWS),
            max=_MOST_ROWS,
            step=10,
            description="rows a week",
            continuous_update=False,
            **wide,
        ),
        "dimension": w.Dropdown(
            options=_options(choice.dimension),
            value=choice.dimension,
            description="embedding dimension",
            **wide,
        ),
        "half": w.Checkbox(value=choice.half, description="halfvec instead of vector", **wide),
        "retention": w.IntSlider(
            value=min(choice.retention, _MOST_KEPT),
            min=1,
            max=_MOST_KEPT,
            description="backups kept",
            continuous_update=False,
            **wide,
        ),
    }


def _options(dimension: int) -> list[tuple[str, int]]:
    known = [value for _, value in _DIMENSIONS]
    return [*_DIMENSIONS, *([] if dimension in known else [(str(dimension), dimension)])]
