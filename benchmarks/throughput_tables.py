"""Medians, equal errors and tables of the lines of `throughput_models.py`."""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np

Lines = list[dict[str, Any]]


def quartiles(ratios: list[float]) -> dict[str, float]:
    low, middle, high = np.percentile(ratios, (25, 50, 75))
    return {"ratio": float(middle), "low": float(low), "high": float(high)}


def beside(lines: Lines) -> Lines:
    """Each method over its rounds; each peer beside the cheapest budget of ours whose error is not larger."""
    out: Lines = []
    for key in dict.fromkeys((x["subject"], x["asked"]) for x in lines if "rmse" in x):
        own: dict[int, Lines] = {}
        others: list[Lines] = []
        here = [x for x in lines if "rmse" in x and (x["subject"], x["asked"]) == key]
        for name, budget in dict.fromkeys((x["method"], x["budget"]) for x in here):
            mine = [x for x in here if (x["method"], x["budget"]) == (name, budget)]
            others.append(mine)
            if name == "xai_ray":
                own[budget] = mine
        out += [_summary(mine, own) for mine in others]
    return out


def _summary(mine: Lines, own: dict[int, Lines]) -> dict[str, Any]:
    first, error = mine[0], _error(mine)
    kept = {name: first[name] for name in ("subject", "name", "asked", "method", "budget")}
    line = {"measure": "beside", **kept, "rmse": error, "rows": min(x["rows"] for x in mine), **_rates(mine)}
    equal = [budget for budget in sorted(own) if _error(own[budget]) <= error]
    if first["method"] == "xai_ray" or not equal:
        return line
    pairs = zip(mine, own[equal[0]], strict=True)
    ratios = [theirs["cpu_seconds_a_row"] / ours["cpu_seconds_a_row"] for theirs, ours in pairs]
    at_least = equal[0] == min(own)
    return line | {"our_budget": equal[0], "at_least": at_least, **quartiles(ratios)}


def _error(lines: Lines) -> float:
    return float(np.sqrt(np.mean([x["rmse"] ** 2 for x in lines])))


def _rates(lines: Lines) -> dict[str, float]:
    each = statistics.median(x["cpu_seconds_a_row"] for x in lines)
    made = statistics.median(x["made"] for x in lines)
    return {"made": made, "cpu_seconds_a_row": each, "evaluations_per_cpu_second": made / each}


def markdown(lines: Lines) -> str:
    return "\n\n".join(part for part in (_loops(lines), _peers(lines), _memory(lines)) if part)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    shown = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in shown) if rows else ""


def _loops(lines: Lines) -> str:
    head = ("model", "what", "batch, ours / bare", "bare, evaluations per CPU second", "of the bare loop", "quartiles")
    rows = [
        (x["name"], x["what"], f"{x['batch']} / {x['bare_batch']}", f"{x['bare_per_cpu_second']:.3g}", f"{x['ratio']:.2f}", _span(x))
        for x in lines
        if x["measure"] == "loop"
    ]  # fmt: skip
    return _table(head, rows)


_PEERS_HEAD = (
    "model",
    "rows",
    "method",
    "evaluations a row, asked / made",
    "error",
    "evaluations per CPU second",
    "CPU s a row",
    "our time is so many times less",
    "quartiles",
)


def _peers(lines: Lines) -> str:
    return _table(_PEERS_HEAD, [_peer(x) for x in lines if x["measure"] == "beside"])


def _peer(x: dict[str, Any]) -> tuple[str, ...]:
    rows = str(x["asked"]) if x["rows"] == x["asked"] else f"{x['rows']} of {x['asked']}"
    less = f"{'at least ' * x['at_least']}{x['ratio']:.2g} ({x['our_budget']})" if "ratio" in x else ""
    made, rate = f"{x['budget']} / {x['made']:.0f}", f"{x['evaluations_per_cpu_second']:.3g}"
    error, seconds = f"{x['rmse']:.2g}", f"{x['cpu_seconds_a_row']:.3g}"
    return (x["name"], rows, x["method"], made, error, rate, seconds, less, _span(x) if less else "")


def _memory(lines: Lines) -> str:
    found = [x for x in lines if x["measure"] == "memory"]
    names = list(dict.fromkeys(x["name"] for x in found))
    methods = list(dict.fromkeys(x["method"] for x in found))
    peaks = {(x["method"], x["name"]): str(x.get("peak_mb", "not run")) for x in found}
    rows = [(method, *(peaks.get((method, name), "") for name in names)) for method in methods]
    return _table(("peak MB", *names), rows)


def _span(x: dict[str, Any]) -> str:
    return f"{x['low']:.2g} to {x['high']:.2g}"
