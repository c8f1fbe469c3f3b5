"""Arrays in a file: written as a template, read again, and refused with the name of what is wrong."""

import numpy as np
import pytest
import torch

from tidegate.calculus import trace
from tidegate.cells import CELLS, GRU, LSTM, RNN, Cell
from tidegate.cells.functions import relu, sigmoid, tanh
from tidegate.errors import ArgumentError, ShapeError
from tidegate.verification.arrays import (
    as_arrays,
    as_problem,
    checked,
    described,
    read_arrays,
    shapes_of,
    write_template,
)
from tidegate.verification.problem import random_problem


class Own(Cell):
    """One gate without a product, a vector, and two states."""

    gates = ("k", "n")
    state = ("h", "m")
    vectors = ("u",)

    def equations(a, U, v, h, m):
        k = sigmoid(a.k + v.u * m)
        n = tanh(U.n(k * h) + a.n)
        return (k * n + (1 - k) * relu(h), m + k), (k, n)


class Independent(Cell):
    gates = ("n",)
    state = ("h",)
    vectors = ("u",)

    def equations(a, U, v, h):
        n = tanh(a.n + v.u * h)
        return (n,), (n,)


EVERY = [*CELLS.values(), Own, Independent]
SIZES = (4, 3, 2, 5)


@pytest.mark.parametrize("cell", EVERY)
@pytest.mark.parametrize("options", [(), ("no bias",)], ids=str)
def test_a_template_is_read_again_with_the_same_numbers(cell, options, tmp_path):
    problem = random_problem(cell, sizes=SIZES, seed=3, options=options)
    written = write_template(tmp_path / "a.npz", problem)
    step = trace(cell)
    assert {n: a.shape for n, a in written.items()} == shapes_of(step, SIZES, bias=not options)
    assert set(written) <= set(described(step))
    found = read_arrays(tmp_path / "a.npz", step)
    again = as_problem(cell, found)
    assert again.options == options
    assert torch.equal(again.call.x, problem.call.x)
    assert torch.equal(again.d_outputs, problem.d_outputs)
    for one, other in zip(again.call.weights.tensors(), problem.call.weights.tensors()):
        assert (one is None) == (other is None)
        assert one is None or torch.equal(one, other)
    assert all(np.array_equal(a, found[n]) for n, a in as_arrays(again).items())


def test_the_names_and_shapes_are_those_of_torch():
    layer = torch.nn.LSTMCell(3, 4)
    shapes = shapes_of(trace(LSTM), (1, 2, 3, 4))
    for name, parameter in layer.named_parameters():
        assert shapes[name] == tuple(parameter.shape)


def gru_arrays():
    return as_arrays(random_problem(GRU, sizes=SIZES, seed=5))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda a: a.pop("weight_hh"), ArgumentError, "has no 'weight_hh'"),
        (lambda a: a.pop("bias_hh"), ArgumentError, "has no 'bias_hh'"),
        (lambda a: a.update(weights_hh=a.pop("weight_hh")), ArgumentError, "'weights_hh', .* Did you mean weight_hh"),
        (lambda a: a.update(c_0=a["h_0"]), ArgumentError, "'c_0', which is no array of GRU"),
        (lambda a: a.update(weight_hh=a["weight_hh"].T), ShapeError, r"weight_hh must .* \(15, 5\), got \(5, 15\)"),
        (lambda a: a.update(x=a["x"][0]), ShapeError, r"x must have shape \(T, B, D\)"),
        (lambda a: a.update(x=a["x"][:0]), ShapeError, r"no axis 0, got \(0, 3, 2\)"),
        (lambda a: a.update(dy=a["dy"][:2]), ShapeError, r"dy must have shape \(4, 3, 5\), got \(2, 3, 5\)"),
        (lambda a: a.update(dy=a["dy"] * 1j), ArgumentError, "dy must hold real numbers, got dtype complex128"),
        (lambda a: a["bias_ih"].__setitem__(7, np.nan), ArgumentError, r"bias_ih\[7\] is nan"),
        (lambda a: a["x"].__setitem__((1, 2, 0), np.inf), ArgumentError, r"x\[1, 2, 0\] is inf"),
    ],
)  # fmt: skip
def test_wrong_arrays_are_refused_by_name(change, error, message):
    arrays = gru_arrays()
    change(arrays)
    with pytest.raises(error, match=message):
        checked(arrays, trace(GRU), "mine.npz")


def test_whole_numbers_and_float32_are_accepted(tmp_path):
    arrays = {name: np.ones(shape, int) for name, shape in shapes_of(trace(RNN), SIZES).items()}
    arrays["x"] = arrays["x"].astype(np.float32)
    np.savez(tmp_path / "ones.npz", **arrays)
    assert {a.dtype for a in read_arrays(tmp_path / "ones.npz", trace(RNN)).values()} == {np.dtype(np.float64)}


class Harmful:
    def __reduce__(self):
        return print, ("executed",)


def test_a_file_that_is_not_of_arrays_is_refused_and_nothing_in_it_executed(tmp_path, capsys):
    np.savez(tmp_path / "pickled.npz", **gru_arrays() | {"x": np.array([Harmful()], object)})
    np.save(tmp_path / "one.npy", np.ones(3))
    (tmp_path / "text.npz").write_text("x = 3")
    (tmp_path / "empty.npz").write_bytes(b"")
    for name, message in (
        ("pickled.npz", "not an .npz file"), ("one.npy", "one array without a name"), ("text.npz", "not an .npz file"),
        ("empty.npz", "not an .npz file"), ("absent.npz", "cannot be read: No such file"),
    ):  # fmt: skip
        with pytest.raises(ArgumentError, match=message):
            read_arrays(tmp_path / name, trace(GRU))
    assert capsys.readouterr().out == ""


def test_a_template_never_replaces_a_file(tmp_path):
    path = tmp_path / "mine.npz"
    path.write_text("my work")
    with pytest.raises(ArgumentError, match="exists already"):
        write_template(path, random_problem(RNN, sizes=SIZES))
    assert path.read_text() == "my work"
    with pytest.raises(ArgumentError, match=r"ends in \.npz"):
        write_template(tmp_path / "mine.txt", random_problem(RNN, sizes=SIZES))
    with pytest.raises(ArgumentError, match="cannot be written"):
        write_template(tmp_path / "absent" / "mine.npz", random_problem(RNN, sizes=SIZES))
