"""The reference as one HTML page that needs nothing from elsewhere; light or dark, as its reader has it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from html import escape
from typing import Any, Final

from ringex.gateways.web.pintu.translation import ROOT
from ringex.gateways.web.reference.asyncapi import asyncapi
from ringex.gateways.web.reference.openapi import FORM, openapi
from ringex.gateways.web.reference.schemas import SIGNING

_STYLE: Final = """
:root { color-scheme: light dark; --line: light-dark(#d8dee4, #30363d); --soft: light-dark(#f6f8fa, #161b22);
  --text: light-dark(#1f2328, #e6edf3); --dim: light-dark(#59636e, #9198a1); --page: light-dark(#ffffff, #0d1117);
  --accent: light-dark(#0969da, #58a6ff); }
* { box-sizing: border-box; }
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page); }
a { color: var(--accent); text-decoration: none; } a:hover { text-decoration: underline; }
code, .path { font: 13px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; }
nav { position: fixed; inset: 0 auto 0 0; width: 290px; overflow: auto; padding: 20px; background: var(--soft);
  border-right: 1px solid var(--line); }
nav h1 { font-size: 17px; margin: 0 0 12px; } nav h2 { font-size: 12px; text-transform: uppercase; color: var(--dim);
  letter-spacing: .05em; margin: 18px 0 4px; } nav ul { list-style: none; margin: 0; padding: 0; }
nav li a { display: flex; gap: 8px; padding: 2px 0; color: var(--text); overflow-wrap: anywhere; font-size: 13px; }
nav input { width: 100%; padding: 6px 10px; border: 1px solid var(--line); border-radius: 6px; font: inherit;
  background: var(--page); color: var(--text); }
main { margin-left: 290px; padding: 24px 40px 80px; max-width: 1080px; }
main h2 { margin: 40px 0 8px; padding-bottom: 6px; border-bottom: 1px solid var(--line); }
article { border: 1px solid var(--line); border-radius: 8px; margin: 16px 0; scroll-margin-top: 16px;
  overflow: hidden; }
article > header { display: flex; flex-wrap: wrap; gap: 10px; align-items: center; padding: 10px 14px;
  background: var(--soft); border-bottom: 1px solid var(--line); }
article:target { outline: 2px solid var(--accent); }
article > div { padding: 10px 14px; } article p { margin: 0 0 8px; }
.verb { font: 700 11px/1 ui-monospace, monospace; padding: 4px 7px; border-radius: 4px; color: #fff; min-width: 52px;
  text-align: center; flex: none; } nav .verb { min-width: 46px; padding: 4px; font-size: 10px; align-self: center; }
.GET { background: #1a7f37; } .POST { background: #0969da; } .PUT { background: #9a6700; }
.DELETE { background: #cf222e; }
.WS { background: #8250df; } .STREAM { background: #57606a; }
.tag { font-size: 12px; color: var(--dim); border: 1px solid var(--line); border-radius: 99px; padding: 0 9px; }
.tag.key { color: var(--accent); border-color: currentColor; } .path { font-weight: 600; }
.right { margin-left: auto; display: flex; gap: 6px; flex-wrap: wrap; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; } th { text-align: left; color: var(--dim);
  font-weight: 500; } th, td { padding: 4px 12px 4px 0; border-top: 1px solid var(--line); vertical-align: top; }
tr:first-child th { border-top: 0; } td:first-child { white-space: nowrap; } td.must code { font-weight: 700; }
td.must::after { content: " *"; color: #cf222e; } details { margin-top: 8px; }
summary { cursor: pointer; color: var(--dim); }
pre { overflow: auto; padding: 10px; background: var(--soft); border-radius: 6px; font-size: 12.5px; margin: 6px 0 0; }
.none { color: var(--dim); } .hidden { display: none; }
@media (max-width: 800px) { nav { position: static; width: auto; } main { margin: 0; padding: 16px; } }
"""
_SCRIPT: Final = """
const find = document.getElementById("find");
find.addEventListener("input", () => {
  const wanted = find.value.toLowerCase();
  for (const one of document.querySelectorAll("[data-find]"))
    one.classList.toggle("hidden", !one.dataset.find.includes(wanted));
});
"""


@cache
def page() -> bytes:
    """UTF-8 HTML."""
    rest, sockets = openapi(), asyncapi()
    operations = [(path, verb.upper(), one) for path, verbs in rest["paths"].items() for verb, one in verbs.items()]
    dialect = [one for one in operations if not one[0].startswith(ROOT)]
    envelope = [one for one in operations if one[0].startswith(ROOT)]
    calls = sockets["components"]["messages"]
    streams = {name: one for name, one in sockets["channels"].items() if "x-pace" in one}
    side = [
        _menu("REST", ((f"{verb} {path}", verb, path) for path, verb, _ in dialect)),
        _menu("WebSocket API", ((f"call {name}", "WS", name) for name in calls)),
        _menu("Streams", ((f"stream {name}", "STREAM", name) for name in streams)),
        _menu("Pintu Pro", ((f"{verb} {path}", verb, path) for path, verb, _ in envelope)),
    ]
    parts = [
        _section("REST", rest["info"]["description"], (_operation(*one, rest) for one in dialect)),
        _section(
            "WebSocket API",
            'At /ws-api/v3: send {"id", "method", "params"}; the reply is {"id", "status", "result" or "error",'
            ' "rateLimits"}. Signatures cover name=value of all params but `signature`, sorted by name, joined with &.',
            (_call(name, one) for name, one in calls.items()),
        ),
        _section(
            "Streams",
            "At /ws/<name>/<name>…, or /stream?streams=<name>/<name>… with each message in"
            ' {"stream", "data"}; SUBSCRIBE and UNSUBSCRIBE change them on the way.',
            (_stream(name, one, sockets) for name, one in streams.items()),
        ),
        _section(
            "Pintu Pro's envelope",
            "Private methods are sent as {`request_id`, `timestamp`, `method`, `api_key`, `params`, `signature`}; these"
            " are their `params`. At /v1/ws the same methods, and `subscribe`, go over a WebSocket.",
            (_operation(*one, rest) for one in envelope),
        ),
    ]
    raw = '<a href="/docs/openapi.json">openapi.json</a> · <a href="/docs/asyncapi.json">asyncapi.json</a>'
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>ringex: API reference</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><nav><h1>ringex API</h1><p>{raw}</p>"
        f'<input id="find" type="search" placeholder="Filter" aria-label="Filter">{"".join(side)}</nav>'
        f"<main><h1>API reference</h1><p>{_text(_PREFACE)}</p>{''.join(parts)}</main>"
        f"<script>{_SCRIPT}</script></body></html>"
    ).encode()


_EVERYWHERE: Final = (*SIGNING, "returnRateLimits")
_PREFACE: Final = (
    "Made from the tables that serve requests, so it cannot differ from what they do. * marks what must be sent;"
    " what else an order needs depends on its type. Methods with a scope are signed: they take `timestamp`,"
    " `recvWindow` and `signature` besides, and `returnRateLimits` is taken by all. Weight counts against the limit"
    " that exchangeInfo shows."
)


def _menu(title: str, entries: Iterable[tuple[str, str, str]]) -> str:
    rows = "".join(
        f'<li data-find="{escape(label.lower())}"><a href="#{_anchor(target)}">{_verb(verb)}'
        f"<span>{escape(label)}</span></a></li>"
        for target, verb, label in entries
    )
    return f"<h2>{title}</h2><ul>{rows}</ul>"


def _section(title: str, words: str, cards: Iterable[str]) -> str:
    return f"<section><h2>{title}</h2><p>{_text(words)}</p>{''.join(cards)}</section>"


def _operation(path: str, verb: str, one: dict[str, Any], document: dict[str, Any]) -> str:
    if "requestBody" in one:
        content = one["requestBody"]["content"]
        body = content[FORM]["schema"] if FORM in content else _params_of(content["application/json"]["schema"])
        rows = _rows(body["properties"], body.get("required", ()))
    else:
        rows = [(p["name"], _schema(p), p["required"], p.get("description", "")) for p in one["parameters"]]
    result = one["responses"]["200"]["content"]["application/json"]["schema"]
    shown = _details("Answer", _resolved(result, document)) if result else ""
    tags = _tags(one["x-scope"], one["x-weight"], one["x-method"])
    if one.get("x-tokens"):
        tags = f'<span class="tag">tokens {one["x-tokens"]}</span>{tags}'
    return _card(f"{verb} {path}", verb, path, tags, f"<p>{_text(one['summary'])}</p>{_table(rows)}{shown}")


def _params_of(envelope: dict[str, Any]) -> dict[str, Any]:
    found = envelope["properties"]["params"]
    assert isinstance(found, dict)
    return found


def _call(name: str, one: dict[str, Any]) -> str:
    params = one["payload"]["properties"]["params"]
    body = f"<p>{_text(one['summary'])}</p>{_table(_rows(params['properties'], params.get('required', ())))}"
    return _card(f"call {name}", "WS", name, _tags(one["x-scope"], one["x-weight"]), body)


def _stream(name: str, one: dict[str, Any], document: dict[str, Any]) -> str:
    (message,) = one["messages"].values()
    body = f"<p>{_text(one['summary'])}</p>{_details('Message', _resolved(message['payload'], document))}"
    return _card(f"stream {name}", "STREAM", name, f'<span class="tag">{escape(one["x-pace"])}</span>', body)


def _rows(properties: dict[str, Any], required: Iterable[str]) -> list[tuple[str, dict[str, Any], bool, str]]:
    must = set(required)
    return [(name, schema, name in must, schema.get("description", "")) for name, schema in properties.items()]


def _table(rows: list[tuple[str, dict[str, Any], bool, str]]) -> str:
    rows = [row for row in rows if row[0] not in _EVERYWHERE]
    if not rows:
        return '<p class="none">No parameters.</p>'
    cells = "".join(
        f'<tr><td class="{"must" if must else ""}"><code>{escape(name)}</code></td><td>{_kind(schema)}</td>'
        f"<td>{_text(words)}</td></tr>"
        for name, schema, must, words in rows
    )
    return f"<table><tr><th>parameter</th><th>type</th><th></th></tr>{cells}</table>"


def _schema(parameter: dict[str, Any]) -> dict[str, Any]:
    found = parameter.get("schema") or parameter["content"]["application/json"]["schema"]
    assert isinstance(found, dict)
    return found


def _kind(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " · ".join(f"<code>{escape(one)}</code>" for one in schema["enum"] if isinstance(one, str) and one)
    if schema["type"] == "array":
        return "list of strings"
    if schema.get("pattern", "").startswith("^([0-9]"):
        return "decimal, as a string"
    kinds = schema["type"]
    return " or ".join(kinds) if isinstance(kinds, list) else str(kinds)


def _details(title: str, schema: Any) -> str:
    return f"<details><summary>{title}</summary><pre>{escape(json.dumps(schema, indent=2))}</pre></details>"


def _resolved(schema: Any, document: dict[str, Any]) -> Any:
    """With every reference replaced by what it names."""
    if isinstance(schema, list):
        return [_resolved(one, document) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _resolved(document["components"]["schemas"][name], document)
    return {name: _resolved(one, document) for name, one in schema.items()}


def _tags(scope: str, weight: Any, method: str = "") -> str:
    found = [f'<span class="tag"><code>{escape(method)}</code></span>'] if method else []
    found.append(f'<span class="tag">weight {weight}</span>')
    found.append(f'<span class="tag key">{scope}</span>' if scope else '<span class="tag">public</span>')
    return "".join(found)


def _card(target: str, verb: str, title: str, tags: str, body: str) -> str:
    return (
        f'<article id="{_anchor(target)}" data-find="{escape(target.lower())}"><header>{_verb(verb)}'
        f'<a class="path" href="#{_anchor(target)}">{escape(title)}</a><span class="right">{tags}</span></header>'
        f"<div>{body}</div></article>"
    )


def _verb(verb: str) -> str:
    return f'<span class="verb {verb}">{verb}</span>'


def _anchor(target: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in target)


def _text(words: str) -> str:
    """Plain words, with `code` in them."""
    parts = escape(words).split("`")
    return "".join(f"<code>{part}</code>" if at % 2 else part for at, part in enumerate(parts))
