import pytest

from tidegate.train.schedule import FLOOR, WARM_UP, rate


def test_constant_is_constant():
    assert {rate("constant", 0.3, p / 10) for p in range(11)} == {0.3}


def test_cosine_rises_to_its_peak_and_falls_to_its_floor():
    assert rate("cosine", 2.0, 0.0) == pytest.approx(2.0 * FLOOR)
    assert rate("cosine", 2.0, WARM_UP) == pytest.approx(2.0)
    assert rate("cosine", 2.0, (1 + WARM_UP) / 2) == pytest.approx(2.0 * (1 + FLOOR) / 2)
    assert rate("cosine", 2.0, 1.0) == pytest.approx(2.0 * FLOOR)
    falling = [rate("cosine", 2.0, WARM_UP + p / 1000) for p in range(900)]
    assert falling == sorted(falling, reverse=True)
