"""The report: one self-contained HTML file, no script, nothing fetched."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.axes import Axes
from PIL import Image

from xai_ray.errors import NotEnoughSamples
from xai_ray.indices.table import INDICES
from xai_ray.reports import plots
from xai_ray.reports.canvas import diverging, symmetric
from xai_ray.reports.choose import asked_players, first_order, has
from xai_ray.reports.rows import rows
from xai_ray.reports.rows_overall import Overall, overall_of
from xai_ray.reports.rows_pictures import rows_headline, rows_pictures
from xai_ray.reports.sentence import behaviour, headline
from xai_ray.reports.tables import bands_line, missing_line, total_line
from xai_ray.reports.training import TrainingPart, training_part, values_training_points
from xai_ray.reports.training_html import laid
from xai_ray.reports.wording import answer_name, check_words, decimals, names, number, stop_words, title

if TYPE_CHECKING:
    from xai_ray.estimators.estimate import Estimate
    from xai_ray.reports.result import Result
    from xai_ray.reports.rows_result import RowsResult

TOP = 12
"""Rows of each table."""

OUTPUTS = 12
"""Outputs with tables; a report of a thousand classes would be unreadable."""


@dataclass(frozen=True)
class Picture:
    """One figure of the report."""

    heading: str
    source: str
    """A data URL."""
    caption: str
    wide: bool = False


def render_report(result: Result, training: TrainingPart | None = None) -> str:
    """The whole report. The first output is pictured; the tables hold all of them.

    `training` is its part about training points; left out, that of the result itself without curves.
    """
    part = training
    if part is None and values_training_points(result):
        part = training_part(result)
    overall = _overall(result)
    words = _words(result) if result.view is not None and result.view.kind == "text" else None
    return (
        _environment()
        .get_template("report.html")
        .render(
            result=result,
            headline=_headline(result, part, overall),
            behaviour=behaviour(result),
            photograph=_photograph(result),
            part=None if part is None else laid(part, lambda axes: _drawn(axes, False)),
            words=words,
            pictures=_pictures(result) if result.rows is None or not overall else _rows_pictures(result.rows, overall),
            means=None if result.rows is None else result.rows.n_rows,
            tables=_tables(result, TOP),
            tabled=min(len(result.outputs), OUTPUTS),
            facts=_facts(result),
            citations=_citations(result),
            documents=_documents(result),
        )
    )


def render_fragment(result: Result, top: int = 8) -> str:
    """A small table for notebooks: the first estimate and output."""
    return _environment().get_template("fragment.html").render(table=_table(result, result.estimates[0], 0, top))


@cache
def _environment() -> Environment:
    loader = PackageLoader("xai_ray.reports", "templates")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def _pictures(result: Result) -> list[Picture]:
    image = result.view is not None and result.view.kind == "image"
    text = result.view is not None and result.view.kind == "text"
    out: list[Picture] = []

    def add(lacks: str, draw: Callable[[Result], Axes], heading: str, caption: str, raster: bool = False) -> None:
        if has(result, lacks):
            out.append(Picture(heading, _drawn(draw(result), raster), caption))

    if image:
        caption = "Red regions raise the output, blue ones lower it."
        if has(result, "first_order") and np.isnan(first_order(result).values[:, 0]).any():
            caption += " Hatched ones have no value."
        add("first_order", plots.heatmap, "Where it comes from", caption, raster=True)
    caption = "The largest values with 95 % intervals." if _noisy(result) else "The largest values; exact."
    add("asked_players", plots.bar, "Largest values", caption)
    caption = "Red pairs do more together than the sum of their parts, blue ones less. The wider, the stronger."
    if not (image or text):
        caption = "Red pairs do more together than the sum of their parts, blue ones less. Grey cells have no value."
    add("pairwise", plots.pairs, "Strongest pairs", caption, raster=image)
    caption = "How strongly pairs interact when few (left) or most (right) of the other players are present."
    if any(e.std_errors.any() for e in result.estimates if e.values.ndim == 3):
        caption += " A mean |I| near the grey floor cannot be told from noise."
    add("profile", plots.orders, "Interaction strength per order", caption)
    add(
        "convergence",
        plots.convergence,
        "Convergence",
        "The largest values and their 95 % bands as evaluations came in.",
    )
    return out


def _overall(result: Result) -> tuple[Overall, ...]:
    """What holds over all rows; nothing where rows lack values, whose means still have a table."""
    if result.rows is None:
        return ()
    try:
        return overall_of(result.rows)
    except NotEnoughSamples:
        return ()


def _headline(result: Result, part: TrainingPart | None, overall: tuple[Overall, ...]) -> str:
    if result.rows is not None and overall:
        return rows_headline(result.rows, overall)
    return headline(result) if part is None else part.headline()


def _rows_pictures(found: RowsResult, overall: tuple[Overall, ...]) -> list[Picture]:
    drafts = rows_pictures(found, overall)
    return [Picture(one.heading, _drawn(one.draw(), one.raster), one.caption) for one in drafts]


def _drawn(axes: Axes, raster: bool) -> str:
    buffer, kind = io.BytesIO(), "png" if raster else "svg"
    metadata = {"Software": None} if raster else {"Date": None, "Creator": None}
    with mpl.rc_context({"svg.hashsalt": "xai_ray", "svg.fonttype": "path"}):
        axes.figure.savefig(  # type: ignore[union-attr]
            buffer, format=kind, dpi=170, bbox_inches="tight", facecolor="white", metadata=metadata
        )
    return _data_url(buffer.getvalue(), "image/png" if raster else "image/svg+xml")


def _data_url(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _photograph(result: Result) -> str | None:
    if result.view is None or result.view.image is None:
        return None
    buffer = io.BytesIO()
    Image.fromarray(result.view.image).save(buffer, format="PNG")
    return _data_url(buffer.getvalue(), "image/png")


def _words(result: Result) -> list[dict[str, str]] | None:
    """Words with their values and colours; None without an estimate of one value a player."""
    if not has(result, "first_order") or result.view is None:
        return None
    estimate = first_order(result)
    values, errors = estimate.values[:, 0], estimate.std_errors[:, 0]
    norm, digits = symmetric(values), decimals(values, errors)
    out = []
    for word, value, error in zip(result.view.labels, values, errors, strict=True):
        red, green, blue, _ = diverging()(norm(np.nan_to_num(value)), bytes=True)
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < 130
        colour = f"background: rgb({red} {green} {blue}); color: {'#fff' if dark else '#222'}"
        shown = "missing" if np.isnan(value) else _signed(float(value), digits)
        detail = shown if error == 0 or np.isnan(error) else f"{shown} ± {number(float(error), digits, sign=False)}"
        out.append({"word": word, "value": shown, "detail": detail, "style": colour})
    return out


def _tables(result: Result, top: int) -> list[dict[str, Any]]:
    return [_table(result, e, k, top) for e in result.estimates for k in range(min(len(result.outputs), OUTPUTS))]


def _table(result: Result, estimate: Estimate, output: int, top: int) -> dict[str, Any]:
    flat, labels = rows(estimate), names(result)
    chosen = flat.shown(output, top)
    digits = decimals(flat.values[chosen, output], flat.std_errors[chosen, output])
    lines = []
    for row in chosen:
        value, error, low, high = (float(a[row, output]) for a in (flat.values, flat.std_errors, flat.low, flat.high))
        exact = error == 0
        lines.append(
            {
                "name": answer_name(labels, estimate.question, flat.coalition(int(row)), 60),
                "context": flat.context(int(row)),
                "value": _signed(value, digits),
                "sign": "up" if value >= 0 else "down",
                "std_error": "exact" if exact else number(error, digits, sign=False),
                "interval": "" if exact else f"{_signed(low, digits)} … {_signed(high, digits)}",
            }
        )
    shown = f"{len(chosen):,} of {len(flat.sets):,} shown" if len(flat.sets) > len(chosen) else None
    notes = [shown, missing_line(flat, output), total_line(result, estimate, output)]
    notes += [bands_line(estimate, output), f"{estimate.estimator}, {estimate.evaluations:,} evaluations"]
    return {
        "title": title(estimate.question),
        "output": result.outputs[output],
        "contexts": flat.contexts is not None,
        "rows": lines,
        "notes": [note for note in notes if note],
    }


def _signed(value: float, digits: int | None) -> str:
    return number(value, digits).replace("-", "−")


def _noisy(result: Result) -> bool:
    return has(result, "asked_players") and bool(np.nansum(asked_players(result).std_errors) > 0)


def _facts(result: Result) -> list[tuple[str, str]]:
    """The short facts of the provenance, as (name, text)."""
    out = [
        ("job", result.job),
        ("digest", result.digest),
        ("evaluations", f"{result.evaluations:,}"),
        ("players", f"{len(result.players):,}"),
        ("estimators", ", ".join(dict.fromkeys(e.estimator for e in result.estimates))),
    ]
    if ended := stop_words(result.provenance.get("stop") or {}):
        out.append(("end", "; ".join(ended)))
    checked = [line.partition(": ") for line in check_words(result.provenance.get("self_check") or {})]
    out += [(name, said) for name, _, said in checked]
    if (agreement := result.rank_agreement) is not None:
        out.append(("rank_agreement", f"{agreement:.3g}"))
    shares = result.estimates[0].question.shares_score
    for k, name in enumerate(result.outputs[:5] if shares else ()):
        none, everyone = (f"{float(v):.6g}" for v in result.ends[:, k])
        out.append((f"v(∅), v(N) of {name}", f"{none}, {everyone}"))
    short = {k: v for k, v in result.provenance.items() if isinstance(v, str | int | float) and k not in dict(out)}
    return out + [(name, f"{v:.1f}" if name == "seconds" else str(v)) for name, v in short.items()]


def _citations(result: Result) -> list[tuple[str, str]]:
    tags = dict.fromkeys(e.question.index for e in result.estimates)
    return [(tag, INDICES[tag].citation) for tag in tags if tag in INDICES]


def _documents(result: Result) -> list[tuple[str, str]]:
    """The nested parts of the provenance as JSON text."""
    return [(k, _json(v)) for k, v in result.provenance.items() if isinstance(v, dict | list)]


def _json(value: Any, indent: str = "", width: int = 100) -> str:
    """JSON with everything short on one line."""
    line = json.dumps(value, ensure_ascii=False, default=str)
    if not isinstance(value, dict | list) or not value or (indent and len(line) <= width):
        return line
    inner = indent + "  "
    if isinstance(value, dict):
        parts = [f"{inner}{json.dumps(str(k), ensure_ascii=False)}: {_json(v, inner)}" for k, v in value.items()]
        return "{\n" + ",\n".join(parts) + f"\n{indent}}}"
    return "[\n" + ",\n".join(inner + _json(v, inner) for v in value) + f"\n{indent}]"
