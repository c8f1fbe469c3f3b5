"""Every result: plain data as JSON, a plot, a sentence with numbers, and a notebook's picture."""

import json

import numpy as np
import pytest
import torch
from tests.insight.small import make_layer

from tidegate.insight import connectivity, gates, gradient_lag, jacobians, lyapunov
from tidegate.insight.figure import plain

MEASURES = {
    "gradient_lag": lambda layer, x: gradient_lag(layer, x, longest=8, anchors=4),
    "jacobians": lambda layer, x: jacobians(layer, x, steps=2, longest=8),
    "lyapunov": lambda layer, x: lyapunov(layer, x, warmup=2),
    "gates": gates,
    "connectivity": lambda layer, x: connectivity(layer, x[:, :1], longest=5),
}


@pytest.mark.parametrize("measure", MEASURES)
def test_each_result_is_json_a_plot_and_a_sentence(measure, cell):
    layer = make_layer(cell, layers=2)
    found = MEASURES[measure](layer, torch.randn(60, 2, 3, dtype=torch.float64))
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False)) == found.as_dict()
    assert str(found).endswith(".")
    assert str(found) in repr(found)
    assert "nan" not in str(found)
    assert any(digit in str(found) for digit in "0123456789")
    if cell in ("rnn", "lstm", "own"):
        axes = found.plot()
        assert axes.get_xlabel()
        assert found.plot(axes) is axes
        assert found._repr_html_().startswith("<figure><img")
    with pytest.raises(AttributeError):
        found.anything = 1


def test_numbers_that_json_lacks_become_none():
    assert plain({"a": np.array([1.5, np.nan, -np.inf]), "b": np.float32(2), "c": (1, "x")}) == {
        "a": [1.5, None, None], "b": 2.0, "c": [1, "x"],
    }  # fmt: skip
