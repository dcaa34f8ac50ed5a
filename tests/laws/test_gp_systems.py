"""Where and how the systems of `gp` are solved: conjugate gradients, threads, devices, and what is too much work."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from tests.games import smooth_table
from tests.laws.test_gp import all_sets
from xai_ray.coalitions import Strata
from xai_ray.coalitions.exhaustive import pack
from xai_ray.coalitions.strata import uniform_law
from xai_ray.errors import NotEnoughSamples, SpecError
from xai_ray.estimators import gp_large, gp_process
from xai_ray.estimators.gp_device import SETTING, TOLERANCE, one_thread
from xai_ray.estimators.gp_process import Process
from xai_ray.estimators.power_law import extrapolated
from xai_ray.estimators.table import build
from xai_ray.indices import Question, readouts, resolve

ANSWER = """
import sys
import torch
from tests.games import smooth_table
from tests.laws.sampled import estimate
from xai_ray.indices import Question
found = estimate(smooth_table(10, seed=1), Question("SII"), "gp", 200, 0)
sys.stdout.write(found.values.tobytes().hex() + found.std_errors.tobytes().hex() + f" {torch.get_num_threads()}")
"""


def game(rows, n=12, seed=0):
    coalitions = Strata(n, seed, uniform_law(n)).draw(0, rows // 2).coalitions
    return coalitions, smooth_table(n, outputs=2, seed=seed, roughness=0.02)[pack(coalitions)]


@pytest.mark.parametrize(("rows", "kept"), [(1500, gp_large.KEPT), (400, 0)])
def test_conjugate_gradients_answer_as_the_factorisation_does(monkeypatch, rows, kept):
    coalitions, values = game(rows)
    dense = Process.of(coalitions, values)
    monkeypatch.setattr(gp_process, "LARGEST_DENSE", 300)
    monkeypatch.setattr(gp_large, "INDUCING", rows // 5)
    monkeypatch.setattr(gp_large, "KEPT", kept)
    large = Process.of(coalitions, values)
    assert isinstance(large.system, gp_large.Large)
    for question in (Question("SV"), Question("SII"), Question("MOI", contexts=(0, 5, 10))):
        (readout,) = readouts(resolve(question, 12), 12)
        sets = all_sets(12, readout.size)[::3]
        (value, error), (again, wider) = (process.moments(readout, sets, True) for process in (dense, large))
        # Contexts that every coalition was drawn for are known exactly.
        known = error == 0
        assert np.abs(again - value)[~known].max() <= 0.01 * error[~known].min()
        assert (wider >= error * (1 - 1e-6))[~known].all()
        assert np.median(wider[~known] / error[~known]) < 1.03
        assert (np.abs(again - value)[known] < 1e-6 * np.abs(value).max()).all()
    ratio = large.standardised() / dense.standardised()
    assert abs(np.median(ratio) - 1.0) < 0.05
    assert np.quantile(np.abs(ratio - 1.0), 0.9) < 0.35
    np.testing.assert_allclose(large.predict(coalitions), dense.predict(coalitions), atol=1e-5 * np.abs(values).max())


def test_conjugate_gradients_that_do_not_arrive_say_so(monkeypatch):
    monkeypatch.setattr(gp_process, "LARGEST_DENSE", 0)
    monkeypatch.setattr(gp_large, "MOST_STEPS", 2)
    monkeypatch.setattr(gp_large, "INDUCING", 20)
    with pytest.raises(NotEnoughSamples, match=r"the system of 200 evaluations in 2 steps; use 'leverage'"):
        Process.of(*game(200))


def test_too_many_evaluations_and_too_many_sets_say_what_would_work(monkeypatch):
    coalitions, values = game(200)
    process = Process.of(coalitions, values)
    (readout,) = readouts(resolve(Question("SII"), 12), 12)
    monkeypatch.setattr(gp_process, "LARGEST_WORK", 1e4)
    with pytest.raises(SpecError, match=r"66 sets from 200 evaluations .* hours.*'cells'"):
        process.moments(readout, all_sets(12, 2), True)
    monkeypatch.setattr(gp_process, "LARGEST_ROWS", 100)
    with pytest.raises(SpecError, match=r"200 evaluations.*at most 100.*'leverage'"):
        Process.of(coalitions, values)


def test_the_same_bits_whatever_the_number_of_threads():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    found = []
    for threads in ("1", "2"):
        setting = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        environment = {**os.environ, **setting, "PYTHONPATH": root}
        run = subprocess.run(
            [sys.executable, "-c", ANSWER], env=environment, cwd=root, capture_output=True, text=True, check=True
        )
        answer, after = run.stdout.split()
        assert after == threads, "the number of threads of the caller is restored"
        found.append(answer)
    assert found[0] == found[1]


def test_one_thread_restores_the_number_after_an_error():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        with pytest.raises(ZeroDivisionError), one_thread():
            _ = 1 / 0
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("name", ["cuda:99", "gpu", "meta"])
def test_a_device_that_is_not_there(monkeypatch, name):
    monkeypatch.setenv(SETTING, name)
    question = resolve(Question("SV"), 12)
    design = Strata(12, 0, uniform_law(12))
    estimator = build("gp", question, design)
    draw = design.draw(0, 40)
    with pytest.raises(SpecError, match=rf"{SETTING}='{name}' is not available here; there is: cpu"):
        estimator.finish(estimator.observe(draw, smooth_table(12)[pack(draw.coalitions)]))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("largest", [10_000, 100])
def test_a_gpu_answers_as_the_processor_does(monkeypatch, largest):
    monkeypatch.setattr(gp_process, "LARGEST_DENSE", largest)
    coalitions, values = game(600)
    found = []
    for name in ("cpu", "cuda"):
        monkeypatch.setenv(SETTING, name)
        process = Process.of(coalitions, values)
        assert process.members.device.type == name
        (readout,) = readouts(resolve(Question("MOI", contexts=(0, 5, 10)), 12), 12)
        found.append(process.moments(readout, all_sets(12, 2), True))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, atol=TOLERANCE * np.abs(a).max())


def test_extrapolation_finds_a_power_law_and_keeps_exact_columns():
    prior = np.geomspace(1e-3, 10.0, 400)[:, None] * [1.0, 2.0]
    left = 0.01 * prior**1.7
    left[:, 1] = 0.0
    sample = np.linspace(0, 399, 50).astype(int)
    np.testing.assert_allclose(extrapolated(prior, prior[sample], left[sample]), left, rtol=1e-9)
    flat = np.full((400, 1), 2.0)
    np.testing.assert_allclose(extrapolated(flat, flat[sample], 0.1 * flat[sample]), 0.1 * flat)
