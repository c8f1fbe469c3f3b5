"""Constructors take what those of torch.nn take, and refuse the rest with an instance of torch.nn's error."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

import tidegate

KINDS = ["RNN", "GRU", "LSTM", "RNNCell", "GRUCell", "LSTMCell"]
SIZES = {"input_size": 3, "hidden_size": 4}
GIVEN = [
    {"bidirectional": 1}, {"bidirectional": 0}, {"bidirectional": None}, {"bidirectional": np.True_},
    {"bidirectional": torch.tensor(True)}, {"bidirectional": 2},
    {"bias": np.True_}, {"bias": np.False_}, {"bias": 1}, {"bias": 0}, {"bias": None}, {"bias": "yes"},
    {"batch_first": np.True_}, {"batch_first": 1}, {"batch_first": None},
    {"input_size": np.int64(3)}, {"hidden_size": np.int32(4)}, {"input_size": torch.tensor(3)},
    {"input_size": 0}, {"hidden_size": 0}, {"hidden_size": -1}, {"input_size": -1}, {"input_size": 3.0},
    {"hidden_size": "4"}, {"hidden_size": None}, {"input_size": np.float64(3)}, {"hidden_size": True},
    {"num_layers": np.int64(2)}, {"num_layers": torch.tensor(2)}, {"num_layers": True}, {"num_layers": 0},
    {"num_layers": -2}, {"num_layers": 2.0}, {"num_layers": "2"}, {"num_layers": None},
    {"dropout": np.float32(0.5), "num_layers": 2}, {"dropout": np.float64(0.5), "num_layers": 2}, {"dropout": 0},
    {"dropout": 1, "num_layers": 2}, {"dropout": 2}, {"dropout": -0.1}, {"dropout": True}, {"dropout": "a"},
    {"dropout": None}, {"dropout": float("nan")}, {"dropout": torch.tensor(0.5)}, {"dropout": 0.5j},
    {"nonlinearity": "elu"}, {"nonlinearity": 1}, {"nonlinearity": "relu"},
    {"proj_size": 2}, {"proj_size": np.int64(2)}, {"proj_size": 4}, {"proj_size": -1}, {"proj_size": 1.5},
    {"device": "nowhere"}, {"device": "meta"}, {"dtype": torch.int64}, {"dtype": "float32"},
    {"dtype": torch.float64}, {"unknown": 1},
]  # fmt: skip
# What torch.nn takes by accident and refuses in the first call, or takes as its opposite: "False" is true.
STRICTER = [("nonlinearity", "elu"), ("nonlinearity", 1), ("bias", "yes")]


def build(library, name: str, given: dict):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return getattr(library, name)(**SIZES | given)
        except Exception as error:  # whatever torch.nn raises is compared
            return error


@pytest.mark.parametrize("given", GIVEN, ids=str)
@pytest.mark.parametrize("name", KINDS)
def test_arguments_are_accepted_and_refused_as_by_torch(name, given):
    ours, theirs = (build(library, name, given) for library in (tidegate, nn))
    if isinstance(ours, Exception):
        if isinstance(theirs, Exception):
            assert isinstance(ours, type(theirs))
        else:
            assert next(iter(given.items())) in STRICTER
    elif isinstance(theirs, nn.Module):
        shapes = [[(n, p.shape, p.dtype) for n, p in m.named_parameters()] for m in (ours, theirs)]
        assert shapes[0] == shapes[1]
    else:  # torch.nn's layers refuse what its cells take: integers and booleans of other libraries
        (value,) = given.values()
        assert isinstance(value, (np.integer, np.bool_, torch.Tensor, bool))


def test_what_was_accepted_is_stored_as_plain_numbers():
    layer = tidegate.GRU(
        np.int64(3), np.int64(4), np.int64(2), np.True_, np.False_, np.float32(0.5), 1, recompute=np.True_
    )
    stored = [layer.input_size, layer.num_layers, layer.bias, layer.batch_first, layer.dropout, layer.bidirectional]
    assert stored == [3, 2, True, False, 0.5, True]
    assert [type(value) for value in stored] == [int, int, bool, bool, float, bool]
    assert layer.recompute is True
    y, _ = layer(torch.zeros(5, 2, 3))
    assert y.shape == (5, 2, 8)


def test_only_an_lstm_can_be_projected():
    for name in ("RNN", "GRU"):
        with pytest.raises(ValueError, match=f"`proj_size` of {name} must be left out, got 2: only LSTM has a"):
            getattr(tidegate, name)(3, 4, proj_size=2)


def test_a_string_is_refused_as_a_boolean():
    with pytest.raises(tidegate.ArgumentTypeError, match="`bidirectional` must be True or False, got 'False'"):
        tidegate.GRU(3, 4, bidirectional="False")
