"""Templates to HTML. Whatever a run wrote (responses, names) is text, never markup."""

from __future__ import annotations

import base64
import io
import math
import pathlib
from typing import Any

import jinja2
import matplotlib
from matplotlib.figure import Figure

from steppo_jax import records

TEMPLATES = pathlib.Path(__file__).parent / "templates"
PARAMETERS = {
    "svg.hashsalt": "steppo_jax",  # else the same data gives another SVG every time
    "svg.fonttype": "none",  # text stays text: small files
    "font.family": ["DejaVu Sans"],
}


def svg_text(figure: Figure) -> str:
    """The picture as SVG, the same bytes for the same figure."""
    file = io.StringIO()
    with matplotlib.rc_context(PARAMETERS):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    # Verdana has nearly the same widths, where a reader lacks the font.
    return file.getvalue().replace("'DejaVu Sans'", "'DejaVu Sans', Verdana")


def picture(svg: str) -> str:
    """A data: address. As an image a picture can run nothing and load nothing."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def number(value: Any, form: str = ".3f") -> str:
    """For people: a real minus, a dash for what is not there."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    return format(value, form).replace("-", "−")


def plain(value: Any) -> str:
    """A setting as it is written on the command line."""
    if isinstance(value, list | tuple):
        return "+".join(map(str, value))
    return (
        {None: "none", True: "true", False: "false"}.get(value, str(value))
        if (value is None or isinstance(value, bool))
        else str(value)
    )


def environment() -> jinja2.Environment:
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"number": number, "plain": plain}
    return found


def write(path: pathlib.Path, template: str, **values: Any) -> pathlib.Path:
    """Renders a template into a file, in one step."""
    text = environment().get_template(template).render(**values)
    records.write_atomically(path, text)
    return path
