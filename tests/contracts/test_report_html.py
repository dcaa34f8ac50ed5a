"""The report: one file, self-contained, escaped, with every table; and files are written whole."""

from __future__ import annotations

import base64
import io
import json
import os
import re
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from xai_ray.errors import InputError
from xai_ray.estimators.estimate import Estimate
from xai_ray.games.view import View
from xai_ray.indices.question import Question
from xai_ray.reports.html import render_report
from xai_ray.reports.result import Result

N = 4
PAIRS = tuple(combinations(range(N), 2))
WORDS = ("<b>bold</b>", "5 > 3", '"quoted" & co', "plain")


class Page(HTMLParser):
    """Collects elements and text, and checks that they close."""

    void = frozenset({"meta", "img", "br", "link"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data

    def count(self, tag: str) -> int:
        return sum(found == tag for found, _ in self.elements)


def make(kind: str | None, k: int = 1, exact: bool = False, missing: bool = False, spread: bool = True) -> Result:
    rng = np.random.default_rng(8)

    def answer(question: Question, sets: tuple[tuple[int, ...], ...], *axes: int, spent: int = 64) -> Estimate:
        values = rng.normal(size=(len(sets), *axes, k))
        errors = np.zeros_like(values) if exact else rng.uniform(0.05, 0.2, values.shape)
        if missing:
            values[1] = errors[1] = np.nan
        return Estimate(question, sets, values, errors, "exact" if exact else "cells", spent)

    singles = tuple((i,) for i in range(N))
    view = None
    if kind == "image":
        image = np.full((16, 16, 3), 90, dtype=np.uint8)
        regions = (np.arange(16)[:, None] // 8 * 2 + np.arange(16) // 8).astype(np.int64)
        view = View("image", ("a", "b", "c", "d"), image, regions)
    elif kind in ("text", "table", "plain"):
        view = View(kind, WORDS)  # type: ignore[arg-type]
    estimates = [answer(Question("SV", 1), singles)]
    if spread:
        estimates.append(answer(Question("STII", 2), singles + PAIRS))
        estimates.append(answer(Question("MOI", 2), PAIRS, N - 1))
    steps = () if exact else tuple(answer(Question("SV", 1), singles, spent=s) for s in (16, 64))
    spec = {"seed": 7, "game": {"behaviour": {"kind": "log_odds"}, "players": {"kind": "patches"}}}
    return Result(
        "job-1",
        "feedbeef",
        ("a", "b", "c", "d"),
        tuple(f"out<{i}>" for i in range(k)),
        64,
        tuple(estimates),
        np.array([[1.5] * k, [4.25] * k]),
        view,
        steps,
        {"spec": spec, "versions": {"numpy": np.__version__}, "seed": 7, "seconds": 12.25},
    )


@pytest.mark.parametrize("kind", ["image", "text", "table", "plain", None])
@pytest.mark.parametrize(("k", "state"), [(3, "noisy"), (1, "exact"), (1, "missing")])
def test_report_is_complete_and_self_contained(kind: str | None, k: int, state: str) -> None:
    result = make(kind, k, exact=state == "exact", missing=state == "missing")
    page = Page(render_report(result))
    assert page.count("script") == page.count("link") == page.count("iframe") == 0
    for _, attributes in page.elements:
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:").startswith("data:")
    assert page.count("table") == 3 * k
    assert page.count("img") == (2 if kind == "image" else 0) + 3 + (state != "exact")
    for name in result.outputs:
        assert name in page.words
    assert "feedbeef" in page.words
    assert '"seed": 7' in page.words
    assert "Shapley, A value for n-person games (1953)" in page.words
    assert ("missing" in page.words) == (state == "missing")
    assert ("exact" in page.words) == (state == "exact")
    assert "url(" not in render_report(result)


def test_pictures_decode() -> None:
    page = Page(render_report(make("image")))
    kinds = []
    for tag, attributes in page.elements:
        if tag == "img":
            kind, content = re.fullmatch(r"data:image/([a-z+]+);base64,(.+)", attributes["src"] or "").groups()  # type: ignore[union-attr]
            raw = base64.b64decode(content)
            kinds.append(kind)
            if kind == "png":
                Image.open(io.BytesIO(raw)).verify()
            else:
                assert b"</svg>" in raw
    assert sorted(set(kinds)) == ["png", "svg+xml"]


def test_labels_are_escaped() -> None:
    html = render_report(make("text"))
    assert "<b>bold" not in html
    assert "&lt;b&gt;bold&lt;/b&gt;" in html
    assert "out<0>" not in html
    page = Page(html)
    assert all(word in page.words for word in WORDS)


def test_the_same_result_gives_the_same_bytes() -> None:
    assert render_report(make("image")) == render_report(make("image"))


def test_headline_names_the_strongest_player_with_its_standard_error() -> None:
    result = make("image")
    order = np.argsort(-np.abs(result.values))
    text = re.search(r'<p class="headline">(.*?)</p>', render_report(result), re.S)
    assert text is not None
    sentence = text.group(1).replace("−", "-")
    found = re.search(r"patch (\w) contributes ([+-][\d.]+)\s±\s([\d.]+)", sentence)
    assert found is not None
    assert found.group(1) == result.players[order[0]]
    assert float(found.group(2)) == pytest.approx(result.values[order[0]], abs=0.06)
    assert float(found.group(3)) == pytest.approx(result.std_errors[order[0]], abs=0.06)
    assert "the log-odds +4.2" in sentence


def test_headline_of_an_index_of_the_whole_game() -> None:
    strength = Estimate(
        Question("J", 2, contexts=(0, 2)), ((),), np.array([[[1.0], [2.0]]]), np.zeros((1, 2, 1)), "exact", 16
    )
    page = Page(render_report(Result("job", "d", ("a", "b", "c", "d"), ("y",), 16, (strength,), np.zeros((2, 1)))))
    assert "the largest interaction strength per order is that of all pairs at m = 2" in page.words


def test_notebook_table_shows_the_values() -> None:
    result = make("text", missing=True)
    page = Page(result._repr_html_())
    assert page.count("table") == 1
    assert page.count("tr") == N
    assert "1 of 4 sets missing" in page.words


def test_save_writes_three_whole_files(tmp_path: Path) -> None:
    result = make("image", missing=True)
    paths = result.save(tmp_path / "new" / "place")
    assert sorted(os.listdir(tmp_path / "new" / "place")) == ["report.html", "result.arrow", "result.json"]
    by_name = {path.name: path for path in paths}
    assert json.loads(by_name["result.json"].read_text()) == result.to_document()
    with pa.ipc.open_file(by_name["result.arrow"]) as reader:
        assert reader.read_all().num_rows == N + N + len(PAIRS) + 3 * len(PAIRS)
    assert by_name["report.html"].read_text().rstrip().endswith("</html>")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make("plain").save(tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left on device"):
        make("plain", k=3).save(tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        make("plain").save(tmp_path / "file")


def test_a_thousand_outputs_stay_readable() -> None:
    page = Page(render_report(make("plain", k=1000, exact=True, spread=False)))
    assert page.count("table") == 12
    assert "1000 outputs" in page.words
