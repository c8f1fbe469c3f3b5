"""Places and block means, against simulation."""

import numpy as np
import pytest

from tidegate.insight.memory.blocks import Places, spread


def moving_block_bootstrap(values: np.ndarray, length: int, random: np.random.Generator) -> float:
    """The standard error of the mean, from means of series put together from blocks that begin anywhere."""
    count = len(values) // length
    begins = random.integers(len(values) - length + 1, size=(2000, count))
    return values[begins[..., None] + np.arange(length)].mean((1, 2)).std()


def autoregressive(random: np.random.Generator, rows: int, length: int, r: float) -> np.ndarray:
    noise = random.normal(size=(rows, length))
    series = noise / np.sqrt(1 - r**2)
    for t in range(1, length):
        series[:, t] = r * series[:, t - 1] + noise[:, t]
    return series


@pytest.mark.parametrize(("begin", "end", "count"), [(0, 1600, 1024), (32, 1733, 64), (512, 46505, 1024), (7, 2100, 3)])
def test_places_are_different_positions_of_the_interval_and_equally_many_in_each_block(begin, end, count):
    places = spread(begin, end, count, np.random.default_rng(1))
    assert len(np.unique(places.positions)) == len(places)
    assert begin <= places.positions.min() <= places.positions.max() < end
    assert 8 <= places.blocks <= 64
    assert places.span >= 200
    assert len(places) <= max(count, places.blocks)
    edges = np.linspace(begin, end, places.blocks + 1)
    inside = np.histogram(places.positions, np.floor(edges))[0]
    assert (inside == len(places) // places.blocks).all()


def test_thinned_places_are_equally_many_in_each_block():
    places = spread(10, 9999, 700, np.random.default_rng(2))
    kept = places.thinned(130)
    m = len(places) // places.blocks
    assert (np.bincount(kept // m, minlength=places.blocks) == len(kept) // places.blocks).all()
    assert len(kept) <= 130
    assert len(places.thinned(1)) == places.blocks


def test_the_standard_error_agrees_with_a_moving_block_bootstrap():
    random = np.random.default_rng(3)
    values = autoregressive(random, 1, 64 * 20, 0.8)[0]
    places = Places(np.arange(len(values)), 64, 200)
    assert places.error(values) == pytest.approx(moving_block_bootstrap(values, 20, random), rel=0.15)


def test_the_standard_error_is_the_spread_of_the_means_of_dependent_values():
    values = autoregressive(np.random.default_rng(4), 400, 32 * 30, 0.7)
    places = Places(np.arange(values.shape[1]), 32, 200)
    true = values.mean(1).std()
    assert np.median(places.error(values)) == pytest.approx(true, rel=0.1)
    independent = values.std(1).mean() / np.sqrt(values.shape[1])
    assert independent < 0.5 * true
