"""The three kinds of panel and the dashboard around them: all that we use of Grafana's builders."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataSourceRef,
    DataTransformerConfig,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

Panel = timeseries.Panel | stat.Panel | table.Panel

_TAG: Final = "isoserve"
# A variable, which each region's Grafana fills: the JSON is the same in every region.
_DATASOURCE: Final = DataSourceRef(type_val="prometheus", uid="$datasource")


def _query(expr: str, legend: str, ref_id: str) -> prometheus.Dataquery:
    query = prometheus.Dataquery().expr(expr).legend_format(legend).ref_id(ref_id)
    return query.datasource(_DATASOURCE)


def lines(title: str, unit: str, *queries: tuple[str, str]) -> Panel:
    """Curves over time; each query is PromQL and the name of its curves."""
    panel = timeseries.Panel().title(title).unit(unit).min(0).datasource(_DATASOURCE)
    for index, (expr, legend) in enumerate(queries):
        panel.with_target(_query(expr, legend, chr(ord("A") + index)))
    return panel.height(8).span(12)


def number(title: str, unit: str, expr: str) -> Panel:
    """The present value alone."""
    panel = stat.Panel().title(title).unit(unit).datasource(_DATASOURCE)
    return panel.with_target(_query(expr, "", "A").instant()).height(5).span(8)


def rows(title: str, columns: Iterable[tuple[str, str]]) -> Panel:
    """A table of present values; each column is its name and PromQL, joined on equal labels."""
    panel = table.Panel().title(title).datasource(_DATASOURCE)
    names: dict[str, str] = {}
    for index, (name, expr) in enumerate(columns):
        ref_id = chr(ord("A") + index)
        names[f"Value #{ref_id}"] = name
        query = _query(expr, "", ref_id).instant().format(PromQueryFormat.TABLE)
        panel.with_target(query)
    tidy: dict[str, Any] = {"excludeByName": {"Time": True}, "renameByName": names}
    panel.with_transformation(DataTransformerConfig(id_val="merge", options={}))
    panel.with_transformation(DataTransformerConfig(id_val="organize", options=tidy))
    return panel.height(12).span(24)


def dashboard_json(title: str, uid: str, panels: Iterable[Panel]) -> str:
    """A dashboard of `panels` in Grafana's classic JSON, with a menu of all our dashboards."""
    others = dashboard.DashboardLink("isoserve").type(DashboardLinkType.DASHBOARDS)
    made = dashboard.Dashboard(title).uid(uid).tags([_TAG]).readonly().timezone("utc")
    made.refresh("30s").time("now-6h", "now")
    made.link(others.tags([_TAG]).as_dropdown(True).keep_time(True))
    made.with_variable(dashboard.DatasourceVariable("datasource").type("prometheus"))
    for place, panel in enumerate(panels, start=1):
        made.with_panel(panel.id(place))
    return json.dumps(made.build(), cls=JSONEncoder, sort_keys=True, separators=(",", ":"))
