"""The document: a map drawn by Bokeh, what is known of the rows as JSON, and the script of the page.

Text of the user is data. It lies in the page as JSON, in which `<` is escaped, and the script writes it as text. The
page's own Content-Security-Policy lets no other script run than those whose hashes it names. A page without a server
may ask no server.
"""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files
from typing import Any

import numpy as np
from markupsafe import Markup

from cpvae.estimators.clusterer import clusters
from cpvae.explore import check_library
from cpvae.explore.answers import Answers, packed
from cpvae.explore.cards import cards
from cpvae.explore.draws import PARTS
from cpvae.explore.labels import headings
from cpvae.explore.stored import stored
from cpvae.study.figures.style import COLOURS
from cpvae.study.report.words import rows_line, summary
from cpvae.study.templates import template

DRAWN_MOVING = 4_000  # rows
MISSING = "#9aa0a6"  # the colour of a row whose value is missing


def document(answers: Answers, live: bool) -> str:
    """Make the page.

    Args:
        answers: what it asks.
        live: whether a server answers; otherwise the page brings the answers with it.

    Raises:
        InputError: Bokeh is not installed.
    """
    check_library()
    from bokeh.embed import json_item
    from bokeh.resources import Resources

    place = files("cpvae.explore")
    library = Resources(mode="inline", components=["bokeh", "bokeh-gl"], log_level="warn")
    scripts = [_script(text) for text in (*library.js_raw, place.joinpath("page.js").read_text("utf-8"))]
    policy = "; ".join(
        [
            "default-src 'none'",
            "script-src 'unsafe-eval' " + " ".join(f"'sha256-{_hash(text)}'" for text in scripts),  # WebGL's compiler
            "style-src 'unsafe-inline'",
            "img-src data: blob:",
            "font-src data:",
            "connect-src 'self'" if live else "connect-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    told = about(answers, live)
    return template("cpvae.explore", "page.html.j2").render(
        title=answers.seen.data_name,
        policy=policy,
        style=Markup(place.joinpath("page.css").read_text("utf-8")),
        scripts=[Markup(text) for text in scripts],
        data=island(told),
        map=island(json_item(_map(answers))),
        **{name: told[name] for name in ("summary", "rowsLine", "mapWords", "hasCategories", "live", "kind", "parts")},
    )


def island(value: Any) -> Markup:
    """Write JSON that may stand inside a script element, whatever text it holds.

    >>> island({"name": "</script><script>alert(1)"})
    Markup('{"name":"\\\\u003c/script\\\\u003e\\\\u003cscript\\\\u003ealert(1)"}')
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Markup(text)


def about(answers: Answers, live: bool) -> dict[str, Any]:
    """Tell the page what it shows; a page without a server gets the answers, too."""
    from bokeh.palettes import Viridis256

    seen, contents = answers.seen, answers.contents
    shown, model = seen.shown, seen.model
    categories = clusters(model)
    labels = None
    if shown.labels is not None:
        levels, codes = np.unique(shown.labels, return_inverse=True)
        labels = {"levels": list(map(str, levels)), "values": packed(codes)}
    signal = model.signal_shape_ is not None
    halves = PARTS if model.image_shape_ is not None else PARTS[2:] if signal else ()
    return {
        "live": live,
        "title": seen.data_name,
        "summary": summary(model, shown),
        "rowsLine": rows_line(shown, seen.rows_name),
        "mapWords": seen.layout.words,
        "kind": contents.kind,
        "parts": list(halves),
        "columns": contents.names,
        "hasCategories": categories,
        "names": {str(k): name for k, name in model.names_.items()},
        "cards": cards(seen),
        "numbers": shown.index.tolist(),
        "category": packed(seen.categories),
        "probability": packed(seen.probability),
        "known": {name: list(map(str, cells)) for name, cells in seen.names.items()},
        "labels": labels,
        "palette": list(COLOURS),
        "scale": list(Viridis256),
        "takesGiven": contents.kind == "cells",
        "headings": headings(seen),
        "out": "labels.csv" if answers.out is None else answers.out.name,
        "stored": None if live else stored(answers),
    }


def _map(answers: Answers) -> Any:
    """Draw the map: points that the script colours, and a text in the middle of each category."""
    from bokeh.models import ColumnDataSource, LinearColorMapper
    from bokeh.plotting import figure

    seen = answers.seen
    plot = figure(
        name="map",
        output_backend="webgl",
        tools="lasso_select,box_select,tap,pan,wheel_zoom,box_zoom,reset",
        active_drag="lasso_select",
        active_scroll="wheel_zoom",
        toolbar_location="above",
        sizing_mode="stretch_both",
        min_width=240,
        min_height=240,
        lod_threshold=DRAWN_MOVING,  # while a map without WebGL is moved; all are drawn when it stands
        lod_factor=max(2, seen.n // DRAWN_MOVING),
        x_axis_label=seen.layout.axes[0],
        y_axis_label=seen.layout.axes[1],
    )
    plot.toolbar.logo = None
    x, y = seen.layout.points.T.astype(np.float32)
    points = ColumnDataSource({"x": x, "y": y, "v": seen.categories.astype(np.float32)}, name="points")
    colours = LinearColorMapper(palette=list(COLOURS), low=-0.5, high=9.5, nan_color=MISSING, name="colours")
    size = next(size for n, size in ((2_000, 8), (20_000, 5), (seen.n, 3)) if seen.n <= n)
    plot.scatter(
        "x",
        "y",
        source=points,
        size=size,
        fill_color={"field": "v", "transform": colours},
        line_color=None,
        fill_alpha=0.75,
        nonselection_fill_alpha=0.2,
        selection_fill_alpha=1.0,
    )
    middles = ColumnDataSource({"x": [], "y": [], "text": []}, name="middles")
    plot.text("x", "y", "text", source=middles, name="numbers", text_align="center", text_baseline="middle")
    return plot


def _script(text: str) -> str:
    """Make a script safe to stand between tags: the end of its element may not be in it."""
    return text.replace("</script", "<\\/script")


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
