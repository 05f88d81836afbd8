"""The description of the API as a page that loads nothing: the network may be the trouble."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse}td{padding:.1em 1em .1em 0;vertical-align:top}"
    "code{font-family:ui-monospace,monospace}"
)


def page(description: Mapping[str, Any]) -> str:
    """The page.

    Args:
        description: the OpenAPI document.
    """
    title = escape(f"{description['info']['title']} {description['info']['version']}")
    body = "".join(_operation(path, ops["get"], description) for path, ops in _paths(description))
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
        f"<style>{_STYLE}</style><h1>{title}</h1>"
        f'<p>For programs: <a href="openapi.json">openapi.json</a>.</p>{body}</html>'
    )


def _paths(description: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return list(description["paths"].items())


def _operation(path: str, operation: Mapping[str, Any], description: Mapping[str, Any]) -> str:
    said = escape(operation.get("description") or "")
    parameters = "".join(
        f"<tr><td><code>?{escape(one['name'])}=</code></td>"
        f"<td>{escape(one.get('description') or '')}</td></tr>"
        for one in operation.get("parameters", ())
    )
    fields = "".join(_fields(operation, description))
    return (
        f'<h2>GET <a href="{escape(path.lstrip("/"))}"><code>{escape(path)}</code></a></h2>'
        f"<p>{said}</p><table>{parameters}{fields}</table>"
    )


def _fields(operation: Mapping[str, Any], description: Mapping[str, Any]) -> Iterator[str]:
    content = operation["responses"]["200"].get("content", {}).get("application/json", {})
    name = str(content.get("schema", {}).get("$ref", "")).rpartition("/")[2]
    schema = description["components"]["schemas"].get(name, {})
    for field, what in schema.get("properties", {}).items():
        yield (
            f"<tr><td><code>{escape(field)}</code></td><td>{escape(_type(what))}</td>"
            f"<td>{escape(what.get('description') or '')}</td></tr>"
        )


def _type(what: Mapping[str, Any]) -> str:
    if "anyOf" in what:
        return " or ".join(_type(one) for one in what["anyOf"])
    if "enum" in what:
        return ", ".join(map(str, what["enum"]))
    if "$ref" in what:
        return str(what["$ref"]).rpartition("/")[2]
    if what.get("type") == "array":
        return f"list of {_type(what['items'])}"
    return str(what.get("format") or what.get("const") or what.get("type") or "")
