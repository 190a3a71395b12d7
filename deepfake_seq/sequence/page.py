"""HTML that asks for nothing from outside: every text escaped, every picture inside."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from html import escape

STYLE = """
:root { color: #333; background: #fff; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1.5rem; }
h1 { margin: 0 0 .3rem; } h2 { margin: 2.2rem 0 .6rem; border-bottom: 1px solid #ddd; }
h3 { margin: 1.2rem 0 .3rem; }
table { border-collapse: collapse; margin: .6rem 0; font-size: .9rem; }
th, td { padding: .25rem .5rem; border-bottom: 1px solid #ddd; text-align: right; }
th { background: #f5f5f5; } th:first-child, td:first-child { text-align: left; }
td { font-variant-numeric: tabular-nums; white-space: nowrap; }
td:first-child { min-width: 9rem; white-space: normal; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.2rem; }
dt { color: #666; } dd { margin: 0; overflow-wrap: anywhere; }
figure { margin: 0; max-width: 34rem; min-width: 0; break-inside: avoid; }
figure.wide { max-width: none; } img { max-width: 100%; height: auto; }
figcaption { font-size: .85rem; color: #666; }
.figures { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }
.warning { border-left: 4px solid #ee6677; background: #fdf0f2; padding: .4rem .9rem; }
.note { color: #666; }
pre { white-space: pre-wrap; background: #f7f7f7; padding: 1rem; font-size: .85rem; }
@media screen and (max-width: 40rem) { .figures { grid-template-columns: 1fr; } }
@media print { :root { font-size: 10px; } body { max-width: none; margin: 0; padding: 0; } }
"""

_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; img-src data:; style-src 'sha256-{_DIGEST}'; base-uri 'none'; "
    "form-action 'none'"
)


def page(title: str, parts: Sequence[str]) -> str:
    """A whole document of parts that are HTML already."""
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{text(title)}</title><style>{STYLE}</style></head><body>",
            *parts,
            "</body></html>",
            "",
        ]
    )


def text(value: object) -> str:
    """Any text on one line; what would not show, or would turn the line round, is spelt out."""
    line = str(value)
    return escape(line if line.isprintable() else repr(line))


def lines(value: str) -> str:
    """A text of several lines, as it stands."""
    return f"<pre>{chr(10).join(text(line) for line in value.splitlines())}</pre>"


def paragraph(value: object, kind: str = "") -> str:
    """One, of a class of the style sheet."""
    return f'<p class="{kind}">{text(value)}</p>' if kind else f"<p>{text(value)}</p>"


def heading(value: object, level: int = 2) -> str:
    """Of a section."""
    return f"<h{level}>{text(value)}</h{level}>"


def table(rows: Sequence[Sequence[object]]) -> str:
    """Rows, the header first."""
    header, *body = rows
    made = ["<table><thead><tr>", *(f"<th>{text(cell)}</th>" for cell in header), "</tr></thead>"]
    made.append("<tbody>")
    for row in body:
        made.append("<tr>" + "".join(f"<td>{text(cell)}</td>" for cell in row) + "</tr>")
    return "".join([*made, "</tbody></table>"])


def facts(pairs: Mapping[str, object]) -> str:
    """Names and what is said of them."""
    items = [f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in pairs.items()]
    return f"<dl>{''.join(items)}</dl>"


def image(picture: bytes, caption: str, kind: str = "png", *, wide: bool = False) -> str:
    """A picture with its caption."""
    data = base64.b64encode(picture).decode()
    style = ' class="wide"' if wide else ""
    return (
        f'<figure{style}><img src="data:image/{kind};base64,{data}" alt="{text(caption)}">'
        f"<figcaption>{text(caption)}</figcaption></figure>"
    )


def side_by_side(pictures: Sequence[str]) -> str:
    """Figures in as many columns as there is room for."""
    return f'<div class="figures">{"".join(pictures)}</div>'
