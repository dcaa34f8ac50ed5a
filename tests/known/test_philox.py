"""Known answers of Philox4x32-10, from the Random123 distribution (kat_vectors)."""

import numpy as np
import pytest

from xai_ray.coalitions.philox import Stream, philox4x32, random_words

KNOWN = [
    ([0, 0, 0, 0], (0, 0), [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, (0xFFFFFFFF, 0xFFFFFFFF), [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        (0xA4093822, 0x299F31D0),
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_known_answers(counter, key, answer):
    assert philox4x32(np.array([counter], dtype=np.uint64), key)[0].tolist() == answer


def test_words_of_an_item_do_not_depend_on_the_others_asked_for():
    together = random_words(5, Stream.SUBSETS, 3, np.array([0, 7, 2**40]), 9)
    alone = random_words(5, Stream.SUBSETS, 3, np.array([2**40]), 9)
    assert (together[2] == alone[0]).all()


def test_streams_seeds_and_strata_share_no_words():
    items = np.arange(50)
    words = [
        random_words(seed, stream, sub, items, 4)
        for seed in (0, 1, 1 << 40)
        for stream in (Stream.RANKS, Stream.PERMUTATIONS)
        for sub in (0, 1)
    ]
    every = np.concatenate([w.ravel() for w in words])
    assert len(np.unique(every)) == len(every)
