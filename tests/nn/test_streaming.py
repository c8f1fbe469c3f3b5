"""A stream is the model over the sequence, one step at a time: the very bits where the layers are recurrent."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from tests.engines.cpu.calls import EVERY, same_bits
from torch import nn

import tidegate
from tidegate.engines import cpu
from tidegate.errors import ArgumentError, ArgumentTypeError, EngineError, IndicesError, ShapeError, StateError
from tidegate.nn import Recurrent, RecurrentCell


def steps(s: tidegate.nn.Stream, x: torch.Tensor) -> torch.Tensor:
    return torch.stack([s.step(row) for row in x])


def over_the_sequence(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return layer(x)[0]


def as_tuple(state) -> tuple[torch.Tensor, ...]:
    return (state,) if isinstance(state, torch.Tensor) else tuple(state)


def rows(B: int, D: int, T: int = 5, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(T, B, D, dtype=dtype)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize(("layers", "B", "D", "H"), [(1, 1, 5, 7), (2, 17, 3, 33), (3, 2, 19, 16), (1, 4, 1, 50)])
def test_a_stream_of_numbers_has_the_bits_of_the_layer(name, layers, B, D, H):
    layer = Recurrent(EVERY[name], D, H, layers)
    s, x = tidegate.stream(layer, B), rows(B, D)
    assert s.engine == "cpu"
    assert same_bits(steps(s, x), over_the_sequence(layer, x))


@pytest.mark.parametrize("name", EVERY)
def test_a_stream_in_float64_or_without_biases_has_the_bits_of_the_layer(name):
    for options in ({"dtype": torch.float64}, {"bias": False}, {"dtype": torch.float64, "bias": False}):
        layer = Recurrent(EVERY[name], 4, 21, 2, **options)
        x = rows(3, 4, dtype=options.get("dtype", torch.float32))
        assert same_bits(steps(tidegate.stream(layer, 3), x), over_the_sequence(layer, x))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", EVERY)
def test_a_stream_of_class_indices_has_the_bits_of_the_layer(name, bias):
    layer = Recurrent(EVERY[name], 11, 37, 2, bias=bias)
    for B in (1, 5):
        x = torch.randint(11, (6, B))
        assert same_bits(steps(tidegate.stream(layer, B), x), over_the_sequence(layer, x))


def test_numbers_and_class_indices_may_alternate():
    layer = tidegate.GRU(6, 9)
    s, x, index = tidegate.stream(layer), rows(1, 6), torch.tensor([3, 0, 5, 1, 2])
    x[1::2, 0] = nn.functional.one_hot(index[1::2], 6).float()
    found = [s.step(int(index[t])) if t % 2 else s.step(x[t, 0].numpy()) for t in range(5)]
    assert np.array_equal(np.stack(found), over_the_sequence(layer, x)[:, 0].numpy())


def test_a_changed_digit_of_one_packed_weight_is_noticed():
    layer, x = tidegate.GRU(4, 20), rows(1, 4)
    s = tidegate.stream(layer)
    weights = s._program.parts[0].arrays["packed_u"].view(np.float32)
    weights[1] += 1e-3
    assert not same_bits(steps(s, x), over_the_sequence(layer, x))


def test_a_wide_layer_of_many_tiles_has_the_bits_of_the_layer():
    layer, x = tidegate.LSTM(130, 70), rows(2, 130, T=3)
    assert same_bits(steps(tidegate.stream(layer, 2), x), over_the_sequence(layer, x))


@pytest.mark.parametrize("B", [1, 7])
def test_a_head_is_the_linear_layer_to_rounding_and_its_bits_do_not_depend_on_the_batch(B):
    model = tidegate.LanguageModel("lstm", 23, 18, layers=2, dropout=0.3).eval()
    x = torch.randint(23, (6, B))
    found = steps(tidegate.stream(model, B), x)
    expected = copy.deepcopy(model).double()(x)[0]
    assert (found - expected).norm() <= 1e-6 * expected.norm()
    alone = steps(tidegate.stream(model), x[:, -1:])
    assert same_bits(found[:, -1:], alone)


def test_modules_in_a_list_run_in_their_order():
    first, linear, second = tidegate.GRU(5, 8), nn.Linear(8, 4, bias=False), tidegate.RNN(4, 3)
    s, x = tidegate.stream([first, nn.Dropout(0.5), linear, second], 2), rows(2, 5)
    with torch.no_grad():
        expected = second(linear(first(x)[0]))[0]
    assert torch.allclose(steps(s, x), expected, atol=1e-6)
    h, g = s.state
    assert h.shape == (1, 2, 8)
    assert g.shape == (1, 2, 3)
    s.state = [h, g]
    assert tidegate.stream(nn.Sequential(linear, second), 2).step(rows(2, 8)[0]).shape == (2, 3)


@pytest.mark.parametrize("name", EVERY)
def test_a_cell_streams_as_its_module(name):
    cell = RecurrentCell(EVERY[name], 4, 9)
    s, x, state = tidegate.stream(cell, 3), rows(3, 4), None
    with torch.no_grad():
        for row in x:
            state = cell(row, state)
            h = state if isinstance(state, torch.Tensor) else state[0]
            assert same_bits(s.step(row), h)
    assert all(same_bits(a, b) for a, b in zip(as_tuple(s.state), as_tuple(state)))


def test_the_state_is_that_of_the_layer_and_can_be_set():
    layer, x = tidegate.LSTM(4, 6, 2), rows(3, 4)
    with torch.no_grad():
        _, (h, c) = layer(x)
        following = layer(x, (h, c))[0]
    s = tidegate.stream(layer, 3)
    steps(s, x)
    assert all(same_bits(a, b) for a, b in zip(s.state, (h, c)))
    other = tidegate.stream(layer, 3)
    other.state = h, c
    assert same_bits(steps(other, x), following)
    with pytest.raises(StateError, match="must be the tuple"):
        other.state = h
    with pytest.raises(ShapeError, match="`h_0` must have shape"):
        other.state = h[:1], c[:1]


def test_each_session_is_reset_by_itself():
    layer, x = tidegate.LSTM(4, 6, 2), rows(3, 4)
    s = tidegate.stream(layer, 3)
    s.step(x[0])
    s.reset([False, True, False])
    resets = torch.zeros(3, 2, dtype=torch.bool)
    resets[1, 1] = True
    with torch.no_grad():
        expected = layer(x[:2], resets=resets)[0][1]
    assert same_bits(s.step(x[1]), expected)
    s.reset()
    assert all(not t.any() for t in s.state)
    with pytest.raises(ShapeError, match=r"`mask` must have shape \(B,\) = \(3,\), got \(2,\)"):
        s.reset(np.array([True, False]))
    with pytest.raises(ArgumentTypeError, match="`mask` must be booleans"):
        s.reset([0, 1, 0])


@pytest.mark.parametrize("name", EVERY)
def test_a_fork_continues_from_the_same_state_independently(name):
    s, x = tidegate.stream(Recurrent(EVERY[name], 4, 6), 2), rows(2, 4)
    s.step(x[0])
    for other in (s.fork(), copy.copy(s), copy.deepcopy(s)):
        expected = s.fork()
        assert same_bits(other.step(x[1]), expected.step(x[1]))
        other.reset()
        assert same_bits(s.fork().step(x[2]), s.fork().step(x[2]))
        assert not same_bits(s.fork().step(x[2]), other.step(x[2]))


def test_the_weights_are_copies_until_refresh():
    layer, x = tidegate.GRU(4, 6), rows(1, 4)
    s = tidegate.stream(layer)
    expected = s.fork().step(x[0])
    forked = s.fork()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(-2)
    assert same_bits(s.fork().step(x[0]), expected)
    s.step(x[0])
    s.refresh()
    with torch.no_grad():
        after = layer(x[1:2], torch.from_numpy(expected.numpy())[None])[0][0]
    assert same_bits(s.step(x[1]), after)
    assert same_bits(forked.step(x[0]), expected)
    layer.hidden_size, layer.weight_hh_l0 = 5, nn.Parameter(torch.randn(15, 5))
    layer.weight_ih_l0 = nn.Parameter(torch.randn(15, 4))
    with pytest.raises(ArgumentError, match="Make a new stream"):
        s.refresh()


def test_an_output_is_not_changed_by_later_steps_and_has_no_gradient():
    s = tidegate.stream(tidegate.GRU(4, 6))
    x = rows(1, 4).requires_grad_()
    for form in (x[0], x[0, 0], x[0].detach().numpy(), 2):
        y = s.step(form)
        kept = y.copy() if isinstance(y, np.ndarray) else y.clone()
        s.step(form)
        assert (y == kept).all()
        assert not getattr(y, "requires_grad", False)


def test_outputs_have_the_form_of_the_input():
    s = tidegate.stream(tidegate.GRU(4, 6))
    x = rows(1, 4)[0]
    assert s.step(x).shape == (1, 6)
    assert s.step(x[0]).shape == (6,)
    assert isinstance(s.step(x.numpy()), np.ndarray)
    for index in (3, np.int32(3), np.array(3), torch.tensor(3)):
        assert s.step(index).shape == (6,)
    assert s.step(torch.tensor([3], dtype=torch.int32)).shape == s.step(np.array([3])).shape == (1, 6)
    assert s.step(x.numpy()[:, ::-1]).shape == (1, 6)


@pytest.mark.parametrize("x", [5, -1, np.array([7]), torch.tensor([-3])])
def test_an_index_out_of_range_is_refused_and_the_state_stays(x):
    s = tidegate.stream(tidegate.GRU(5, 6))
    s.step(4)
    before = s.state
    with pytest.raises(IndicesError, match=r"class indices in `x` must be in 0\.\.4"):
        s.step(x)
    assert same_bits(s.state, before)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros((2, 4), np.float32), ShapeError, r"must have shape \(B, D\) = \(3, 4\), got \(2, 4\)"),
        (np.zeros(4, np.float32), ShapeError, r"= \(3, 4\), got \(4,\)"),
        (np.zeros((3, 4)), ArgumentError, r"must be of float32, or integers .* got float64. Use x.astype\('float32'\)"),
        (np.zeros((3, 4), bool), ArgumentError, "got bool"),
        (torch.zeros(3, 4, dtype=torch.complex64), ArgumentError, "got complex64"),
        (torch.zeros(3, 4, device="meta"), ArgumentError, "on the CPU, got one of torch.strided on meta"),
        (torch.zeros(3, 4).to_sparse(), ArgumentError, "dense tensor on the CPU"),
        (np.zeros((3, 4), np.int64), ShapeError, r"class indices of shape \(B,\) = \(3,\), got the shape \(3, 4\)"),
        (2, ShapeError, r"got the shape \(\)"),
        (True, ArgumentTypeError, "NumPy array, a torch tensor or an integer, got bool"),
        ([0.0] * 4, ArgumentTypeError, "got list"),
    ],
)
def test_an_input_of_another_form_is_refused(x, error, message):
    with pytest.raises(error, match=message):
        tidegate.stream(tidegate.GRU(4, 6), 3).step(x)


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (lambda: tidegate.GRU(4, 6, bidirectional=True), ArgumentError, "bidirectional=True, .* has no single step"),
        (lambda: tidegate.GRU(4, 6, device="meta"), ArgumentError, "on the CPU, got a GRU on meta"),
        (lambda: tidegate.GRU(4, 6).bfloat16(), ArgumentError, "float32 or float64, got a GRU of torch.bfloat16"),
        (lambda: [tidegate.GRU(4, 6), nn.Linear(5, 2)], ShapeError, "6 outputs before one of 5 inputs"),
        (lambda: [tidegate.GRU(4, 6), nn.Linear(6, 2).double()], ArgumentError, "weights of one dtype"),
        (lambda: [nn.Linear(6, 2)], ArgumentError, "must have a recurrent layer"),
        (lambda: nn.GRU(4, 6), ArgumentTypeError, r"got GRU. tidegate.convert.replace_layers"),
        (lambda: [tidegate.GRU(4, 6), nn.ReLU()], ArgumentTypeError, "got ReLU"),
        (lambda: [tidegate.GRU(4, 6, engine="cpu"), tidegate.RNN(6, 6, engine="eager")], EngineError, "name cpu, e"),
        (lambda: tidegate.LSTM(4, 6, proj_size=2, engine="cpu"), EngineError, "no projection"),
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_streamed_is_refused(model, error, message):
    with pytest.raises(error, match=message):
        tidegate.stream(model())


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize(("B", "D", "H"), [(1, 5, 7), (7, 20, 50)])
def test_weights_in_bfloat16_have_the_bits_of_a_model_with_rounded_weights(name, B, D, H):
    model = [Recurrent(EVERY[name], D, H, 2), nn.Linear(H, 9)]
    s = tidegate.stream(model, B, dtype="bfloat16")
    rounded = copy.deepcopy(model)
    for module in rounded:
        for key, parameter in module.named_parameters():
            if "weight" in key:
                parameter.data = parameter.data.bfloat16().float()
    expected = tidegate.stream(rounded, B)
    for x in (rows(B, D), torch.randint(D, (4, B))):
        assert same_bits(steps(s, x), steps(expected, x))
    assert s.dtype == "bfloat16"
    assert not same_bits(steps(s, x), steps(tidegate.stream(model, B), x))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", EVERY)
def test_weights_in_int8_are_rounded_to_127_steps_of_the_largest_of_their_unit(name, bias):
    B, D, H = 4, 6, 37
    model = [Recurrent(EVERY[name], D, H, 2, bias=bias), nn.Linear(H, 9, bias=bias)]
    model[1].weight.data[3] = 0
    s = tidegate.stream(model, B, dtype="int8")
    rounded = copy.deepcopy(model)
    for module in rounded:
        for key, parameter in module.named_parameters():
            if "weight" in key:
                scale = parameter.data.abs().amax(1, keepdim=True).clamp(min=1e-30) / 127
                parameter.data = (parameter.data / scale).round() * scale
    for x in (rows(B, D), torch.randint(D, (4, B))):
        expected = steps(tidegate.stream(rounded, B), x)
        s.reset()
        found = steps(s, x)
        s.reset()
        assert (found - expected).norm() <= 1e-4 * expected.norm()
        assert (found - steps(tidegate.stream(model, B), x)).norm() > 5e-4 * expected.norm()


def test_the_bits_of_a_session_in_int8_do_not_depend_on_the_batch():
    model = tidegate.LanguageModel("lstm", 12, 40, layers=2)
    x = torch.randint(12, (5, 7))
    found = steps(tidegate.stream(model, 7, dtype="int8"), x)
    assert same_bits(found[:, 3:4], steps(tidegate.stream(model, dtype="int8"), x[:, 3:4]))


def test_a_dtype_that_is_impossible_is_refused():
    layer = tidegate.GRU(4, 6)
    assert tidegate.stream(layer, dtype="float32").dtype == tidegate.stream(layer).dtype == "float32"
    assert tidegate.stream(tidegate.GRU(4, 6, dtype=torch.float64), dtype="float64").dtype == "float64"
    with pytest.raises(ArgumentError, match="`dtype` must be one of float32, bfloat16, int8, got 'int4'"):
        tidegate.stream(layer, dtype="int4")
    with pytest.raises(ArgumentError, match="must be one of float64, that of the weights, got 'int8'"):
        tidegate.stream(tidegate.GRU(4, 6, dtype=torch.float64), dtype="int8")
    with pytest.raises(EngineError, match="`dtype` int8 needs the engine"):
        tidegate.stream(tidegate.GRU(4, 6, engine="eager"), dtype="int8")
    layer.weight_hh_l0.data[2, 3] = torch.nan
    with pytest.raises(ArgumentError, match="finite weights"):
        tidegate.stream(layer, dtype="int8")


def test_a_fork_and_a_refresh_keep_the_dtype():
    layer, x = tidegate.LSTM(5, 9), rows(1, 5)
    s = tidegate.stream(layer, dtype="int8")
    y = s.fork().step(x[0])
    assert same_bits(s.fork().fork().step(x[0]), y)
    s.refresh()
    assert s.dtype == "int8"
    assert same_bits(s.step(x[0]), y)
    layer.double()
    with pytest.raises(ArgumentError, match="Make a new stream"):
        s.refresh()


def test_a_batch_of_zero_and_class_indices_for_a_linear_layer_are_refused():
    with pytest.raises(ArgumentError, match="`batch` must be an integer >= 1"):
        tidegate.stream(tidegate.GRU(4, 6), 0)
    with pytest.raises(ArgumentError, match="`x` must be of float32, got int64"):
        tidegate.stream([nn.Linear(3, 4), tidegate.GRU(4, 6)]).step(2)


@pytest.mark.parametrize("name", EVERY)
def test_without_the_cpu_engine_the_eager_engine_runs(name, monkeypatch):
    layers = Recurrent(EVERY[name], 7, 6, 2), nn.Linear(6, 5)
    x, index = rows(3, 7), torch.randint(7, (4, 3))
    s = tidegate.stream(layers, 3)
    monkeypatch.setattr(cpu, "host_refuses", lambda: "it is not here")
    e = tidegate.stream(layers, 3)
    assert (s.engine, e.engine) == ("cpu", "eager")
    assert torch.allclose(steps(e, x), steps(s, x), atol=1e-5)
    e.reset([True, False, True])
    s.reset([True, False, True])
    f = e.fork()
    with torch.autocast("cpu"):
        found = steps(e, index)
    assert torch.allclose(found, steps(s, index), atol=1e-5)
    assert same_bits(steps(f, index), found)


def test_a_projected_lstm_runs_on_the_eager_engine():
    layer, x = tidegate.LSTM(4, 6, 2, proj_size=3), rows(2, 4)
    s = tidegate.stream(layer, 2)
    assert s.engine == "eager"
    assert torch.allclose(steps(s, x), over_the_sequence(layer, x), atol=1e-6)
    s.state = s.state
    assert [t.shape for t in s.state] == [(2, 2, 3), (2, 2, 6)]


def test_streams_of_several_threads_do_not_disturb_each_other():
    model = tidegate.LanguageModel("gru", 13, 24, layers=2)
    first = tidegate.stream(model)
    indices = torch.randint(13, (4, 300)).tolist()

    def work(own: list[int], s: tidegate.nn.Stream) -> np.ndarray:
        return np.stack([s.step(i) for i in own])

    expected = [work(own, first.fork()) for own in indices]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(work, indices, [first.fork() for _ in indices]))
    assert np.array_equal(found, expected)


def test_a_stream_says_what_it_is_and_is_not_pickled():
    s = tidegate.stream(tidegate.LanguageModel("lstm", 9, 4), 2)
    assert repr(s) == "Stream(LSTM(9, 4), Linear(4, 9); batch=2, dtype='float32', engine='cpu')"
    with pytest.raises(ArgumentTypeError, match=r"Save its states with save\(\)"):
        pickle.dumps(s)
    with pytest.raises(ArgumentTypeError, match="cannot be copied"):
        copy.deepcopy(s._program)
