"""Training data for the jobs of data valuation, from the sets that come with scikit-learn; some labels are wrong, by a seed.

Digits: Alpaydin and Kaynak (1998), 1,797 pictures of 8 x 8; breast cancer: Street, Wolberg, Mangasarian (1993).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xai_ray.errors import InputError
from xai_ray.types import Floats, Ints
from xai_ray.zoo.tumour import tumour_data


def noisy_digits(points: int = 300, tests: int = 500, flipped: float = 0.1, seed: int = 0) -> dict[str, Any]:
    """Pictures of digits by their pixels, 0 to 1, with a share of the training labels replaced by another digit.

    Returns X (points, 64), y, X_test (tests, 64), y_test, names, which say what a label was before, images (points, 8, 8), flagged
    (points,), the wrong labels, and the pictures that are left as X_holdout, y_holdout. Raises InputError.
    """
    from sklearn.datasets import load_digits

    data: Any = load_digits()
    rows, labels = data.data / 16.0, np.asarray(data.target, dtype=np.int64)
    if points < 1 or tests < 1 or points + tests > len(rows) or not 0 <= flipped <= 1:
        raise InputError(
            f"noisy_digits(points={points}, tests={tests}, flipped={flipped}): {len(rows)} pictures are there, and flipped is a share"
        )
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(rows))
    train, test, rest = np.split(order, [points, points + tests])
    names = [f"picture {i}" for i in train]
    found = _digits(rows[train], labels[train], names, flipped, generator)
    return found | _judges(rows, labels, test, rest)


def shifted_digits(points: int = 10_000, tests: int = 500, flipped: float = 0.1, seed: int = 0) -> dict[str, Any]:
    """As `noisy_digits` for up to 11,673 points: pictures that are no tests, each as it is and moved by one pixel in every direction.

    Raises InputError.
    """
    from sklearn.datasets import load_digits

    data: Any = load_digits()
    moves = [(0, 0), *((down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if down or right)]
    kept = len(data.images) - tests
    if points < 1 or tests < 1 or points > len(moves) * kept or not 0 <= flipped <= 1:
        raise InputError(
            f"shifted_digits(points={points}, tests={tests}, flipped={flipped}): {len(data.images)} pictures are there, each in "
            f"{len(moves)} places unless it is a test, and flipped is a share"
        )
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(data.images))
    padded = np.pad(data.images / 16.0, ((0, 0), (1, 1), (1, 1)))
    every = np.stack([padded[:, 1 + down : 9 + down, 1 + right : 9 + right] for down, right in moves])
    # Pictures as they are come first, so that a smaller set holds less of the same.
    chosen = [(move, picture) for move in range(len(moves)) for picture in order[tests:].tolist()][:points]
    move, picture = np.array(chosen).T
    labels = np.asarray(data.target, dtype=np.int64)
    names = [f"picture {i} moved {moves[m]}" for m, i in zip(move, picture, strict=True)]
    rows = every.reshape(len(moves), -1, 64)
    found = _digits(rows[move, picture], labels[picture], names, flipped, generator)
    return found | _judges(rows[0], labels, order[:tests], order[tests + points :])


def _digits(
    rows: Floats, labels: Ints, names: list[str], flipped: float, generator: np.random.Generator
) -> dict[str, Any]:
    """Training pictures (n, 64) with a share of their labels replaced by another digit; names then say what a label was."""
    wrong = generator.permutation(len(rows))[: round(flipped * len(rows))]
    given = labels.copy()
    given[wrong] = (given[wrong] + generator.integers(1, 10, len(wrong))) % 10
    flagged = given != labels
    told = zip(names, given, labels, flagged, strict=True)
    return {
        "X": rows,
        "y": given,
        "names": [f"{name}, a {a}" + f" (was {was})" * bool(bad) for name, a, was, bad in told],
        "images": rows.reshape(-1, 8, 8),
        "flagged": flagged,
    }


def _judges(rows: Floats, labels: Ints, test: Ints, rest: Ints) -> dict[str, Any]:
    """Test rows, and what nobody else uses as rows for the curves of a report."""
    found = {"X_test": rows[test], "y_test": labels[test]}
    return found | ({"X_holdout": rows[rest], "y_holdout": labels[rest]} if len(rest) else {})


def tumour_clinics(clinics: int = 10, careless: int = 2, points: int = 200, seed: int = 0) -> dict[str, Any]:
    """Standardised measurements of tumours as if from clinics of different sizes; the last `careless` give every second label wrong.

    Returns X (points, 30), y, X_test (114, 30), y_test, groups, the clinic of each training row, texts, which give some measurements as
    they were taken, flagged (points,), the wrong labels, and the rows that are left as X_holdout, y_holdout. Raises InputError.
    """
    data = tumour_data()
    if not (0 <= careless <= clinics and 2 <= clinics <= points <= len(data.train)):
        raise InputError(
            f"tumour_clinics(clinics={clinics}, careless={careless}, points={points}): at least two clinics and a row for each, "
            f"{len(data.train)} rows in all, and no more careless ones than clinics"
        )
    generator = np.random.default_rng(seed)
    train, rest = np.split(generator.permutation(data.train), [points])
    mean, scale = data.rows[train].mean(axis=0), data.rows[train].std(axis=0)
    share = np.arange(clinics, 0, -1) / (clinics * (clinics + 1) / 2)
    owner = np.concatenate([np.arange(clinics), generator.choice(clinics, points - clinics, p=share)])
    labels = data.labels[train].copy()
    told = ("mean radius", "mean texture", "worst area")
    places = [list(data.columns).index(name) for name in told]
    for clinic in range(clinics - careless, clinics):
        mine = np.flatnonzero(owner == clinic)[::2]
        labels[mine] = 1 - labels[mine]
    width = len(str(clinics))
    names = [f"clinic {i + 1:0{width}}" + " (careless)" * (i >= clinics - careless) for i in range(clinics)]
    groups = [names[i] for i in owner]
    return {
        "X": (data.rows[train] - mean) / scale,
        "y": np.array(data.class_names)[labels],
        "X_test": (data.rows[data.test] - mean) / scale,
        "y_test": np.array(data.class_names)[data.labels[data.test]],
        **({"X_holdout": (data.rows[rest] - mean) / scale} if len(rest) else {}),
        **({"y_holdout": np.array(data.class_names)[data.labels[rest]]} if len(rest) else {}),
        "groups": groups,
        "texts": [
            ", ".join(f"{name} {row[place]:.4g}" for name, place in zip(told, places, strict=True))
            for row in data.rows[train]
        ],
        "flagged": labels != data.labels[train],
    }
