"""Removals of texts by their speed: evaluations a CPU second, and the largest difference of the prefix cache from the plain pass.

    python benchmarks/text.py [--evaluations 256] [--markdown]

MiniLM (zoo) with the words of one long review: mask token, attention, and drop in batches of a few lengths; beside the seconds stand
the tokens that went through the model. A GPT-2 of 4 layers of 128 with random weights on 12 passages, dropped, with and without the
prefix cache, for random coalitions, for all coalitions of 8 passages, and for the prefixes of random orders. One thread; CPU seconds of
this process, so that other work on the machine counts little. A JSON line each; `--markdown` prints tables.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch

import xai_ray as xr
from xai_ray.zoo import minilm_sentiment, random_language_model

TEXT = (
    "An unforgettable, gorgeously photographed masterpiece that never quite earns its ending, though the young cast is a joy to "
    "watch and the script, for all its borrowed parts, keeps finding new ways to make an old and tired story feel as if it had been "
    "written last week by somebody who cares about people rather than about plot, which is more than can be said of most films of "
    "this year."
)
PASSAGE = "Item {} was sold in town."
BATCH = 16
ANSWER = xr.AnswerLogProbability((" It is so.", " No."))


def coalitions(n: int, count: int, kind: str) -> np.ndarray:
    """`sizes`: uniform over sizes; `all`: every coalition; `orders`: prefixes of random orders."""
    generator = np.random.default_rng(0)
    if kind == "all":
        return (np.arange(1 << n)[:, None] >> np.arange(n) & 1).astype(np.bool_)
    if kind == "orders":
        ranks = np.stack([generator.permutation(n) for _ in range(-(-count // n))])
        return (ranks[:, None] <= np.arange(n)[:, None]).reshape(-1, n)
    return generator.random((count, n)) < generator.random((count, 1))


def fed_tokens(model: torch.nn.Module, work: Callable[[], Any]) -> int:
    """Tokens, padding among them, that reach the embeddings of a model."""
    counts: list[int] = []
    embeddings: Any = next(m for m in model.modules() if isinstance(m, torch.nn.Embedding))
    handle = embeddings.register_forward_hook(lambda module, given, out: counts.append(given[0].numel()))
    work()
    handle.remove()
    return sum(counts)


def measured(game: xr.ModelGame, model: torch.nn.Module, rows: np.ndarray) -> dict[str, float]:
    rows = rows[: max(1, len(rows) // game.block) * game.block]
    context = np.zeros(len(rows), dtype=np.int64)
    tokens = fed_tokens(model, lambda: game.values(rows[: game.block], context[: game.block])) / game.block
    began = time.process_time()
    game.values(rows, context)
    seconds = time.process_time() - began
    return {"evaluations_per_cpu_second": round(len(rows) / seconds, 1), "tokens_per_evaluation": round(tokens, 1)}


def words(evaluations: int) -> list[dict[str, Any]]:
    made = minilm_sentiment()
    rows = coalitions(len(TEXT.split()), evaluations, "sizes")
    out = []
    for name, removal in (("mask_token", xr.MaskToken()), ("attention", xr.Attention()), ("drop", xr.Drop())):
        game = xr.ModelGame(
            made.model,
            TEXT,
            players=xr.Words(),
            removal=removal,
            behaviour=xr.Logit(1),
            tokenizer=made.tokenizer,
            batch=BATCH,
        )
        facts = {
            "benchmark": "words",
            "model": "minilm",
            "players": game.n_players,
            "coalitions": "sizes",
            "removal": name,
        }
        out.append(facts | measured(game, made.model.encoder, rows))
    return out


def passages(evaluations: int, count: int, kind: str) -> list[dict[str, Any]]:
    made = random_language_model(layers=4, width=128, heads=4)
    players = xr.Passages("{passages}Was it long ago?", each="{passage}\n")
    rows, out, values = coalitions(count, evaluations, kind), [], []
    for cached in (False, True):
        game = xr.ModelGame(
            made.model, [PASSAGE.format(i) for i in range(count)], players=players, removal=xr.Drop(prefix_cache=cached),
            behaviour=ANSWER, tokenizer=made.tokenizer, batch=BATCH,
        )  # fmt: skip
        facts = {
            "benchmark": "passages",
            "model": "gpt2 4 x 128",
            "players": count,
            "coalitions": kind,
            "removal": "drop",
        }
        facts["removal"] += " with prefix cache" if cached else ""
        out.append(facts | measured(game, made.model, rows))
        values.append(game.values(rows[:256], np.zeros(len(rows[:256]), dtype=np.int64)))
    out[1]["largest_difference"] = float(np.abs(values[0] - values[1]).max())
    out[1]["largest_value"] = float(np.abs(values[0]).max())
    return out


def markdown(lines: list[dict[str, Any]]) -> str:
    head = [
        "model",
        "players",
        "coalitions",
        "removal",
        "evaluations_per_cpu_second",
        "tokens_per_evaluation",
        "largest_difference",
    ]
    shown = [[str(line.get(key, "")) for key in head] for line in lines]
    titles = [key.replace("_", " ") for key in head]
    return "\n".join("| " + " | ".join(row) + " |" for row in [titles, ["---"] * len(head), *shown])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evaluations", type=int, default=256)
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = words(options.evaluations)
    for count, kind in ((12, "sizes"), (8, "all"), (12, "orders")):
        lines += passages(options.evaluations, count, kind)
    print(markdown(lines) if options.markdown else "\n".join(json.dumps(line) for line in lines))


if __name__ == "__main__":
    main()
