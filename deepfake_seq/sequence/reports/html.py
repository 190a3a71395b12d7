"""Render the HTML templates of this package, with every text escaped."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from deepfake_seq.sequence.reports.tables import format_metric, with_interval

if TYPE_CHECKING:
    from jinja2 import Environment


_HOME = "deepfake_seq.sequence.reports"


def render(template: str, package: str = _HOME, **context: Any) -> str:
    """Render a file of `templates/` as a page; it may include the templates of this package.

    All text is escaped and stays on one line: text with invisible or direction-changing characters
    is written as a Python string literal.

    Args:
        template: Name of the template file.
        package: Package whose `templates/` contains it.
        context: The template's variables.
    """
    return _environment(package).get_template(template).render(context)


def _environment(package: str) -> Environment:
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        autoescape=True,
        finalize=_visible,
        keep_trailing_newline=True,
        loader=ChoiceLoader([PackageLoader(name) for name in dict.fromkeys([package, _HOME])]),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {
        "base64": lambda content: base64.b64encode(content).decode(),
        "count": "{:,}".format,
        "decimals": format_metric,
        "sha256": lambda text: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode(),
        "with_interval": lambda metrics, key: with_interval(
            metrics[key], metrics["intervals"][key]
        ),
    }
    return environment


def _visible(value: object) -> object:
    """Replace text that is not printable by its Python literal; keep HTML made by templates."""
    text = str(value)
    return value if hasattr(value, "__html__") or text.isprintable() else repr(text)
