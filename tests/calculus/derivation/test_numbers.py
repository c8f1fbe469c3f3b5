"""Every printed equation is true: evaluated with numbers from autograd of the cell's own equations."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from tests.calculus.derivation.numbers import FUNCTIONS, Numbers, blocks, holds, lines

from tidegate.calculus import trace
from tidegate.calculus.derivation import NOTATIONS, derive
from tidegate.calculus.derivation import formula as F
from tidegate.calculus.derivation.roles import in_convention, keepers
from tidegate.cells import CELLS, Cell
from tidegate.cells.find import find_cell
from tidegate.cells.functions import relu, sigmoid, softplus, tanh
from tidegate.verification.direct import by_name, unroll
from tidegate.verification.problem import random_problem

TIDE = f"{Path(__file__).parents[3] / 'examples' / 'tide.py'}:Tide"


class Minimal(Cell):
    """The minimal gated unit, whose gate replaces the state at 1: Zhou et al., arXiv:1603.09420 (2016)."""

    gates = ("f", "n")
    state = ("h",)

    def equations(a, U, h):
        f = sigmoid(a.f + U.f(h))
        n = tanh(a.n + U.n(f * h))
        return ((1 - f) * h + f * n,), (f, n)


class Strange(Cell):
    """A gate without an input, one without a product, a vector, a state used in its own step, softplus and relu."""

    gates = ("s", "k", "w")
    state = ("y", "m")
    vectors = ("p",)

    def equations(a, U, v, y, m):
        s = sigmoid(U.s(m) + v.p * y)
        k = softplus(a.k + y * m)
        y = s * y + (1 - s) * relu(k - 1)
        w = tanh(a.w + s * U.w(y))
        return (y, w * m + w * w), (s, k, w)


class Leaky(Cell):
    """No recurrent product at all, a gate of the input alone, and a number as a factor."""

    gates = ("k", "n")
    state = ("h", "c")

    def equations(a, U, h, c):
        k = sigmoid(a.k)
        n = tanh(a.n + h)
        c = k * c + (1 - k) * n
        return (tanh(c) + h / 2, c), (k, n)


OWN = {"Minimal": Minimal, "Strange": Strange, "Leaky": Leaky}
EVERY = [*CELLS, TIDE, *OWN]


def cell_of(name):
    return OWN[name] if name in OWN else find_cell(name)


@cache
def document(name, **options):
    return derive(cell_of(name), unroll=2, **options)


def sections_with_equations(found):
    return [section for section in found.sections if lines(section.body)]


def is_rule(line):
    left = line[0]
    return isinstance(left, F.Partial) and isinstance(left.top, F.Apply)


def all_lines(found, notation):
    """(title, held gates, line) of every printed equation but the derivatives of the functions."""
    gates = {notation.value(g): g for g in notation.step.gates}
    for section in sections_with_equations(found):
        for held, body in blocks(section, gates):
            for line in lines(body):
                if not is_rule(line):
                    yield section.title, held, line


def indexes(line, title):
    """The times, and the subscripts, for which a line is printed."""
    e = line[3]
    for sub in e.gates or (None,):
        for t, k, K in ((2, 1, 2), (3, 1, 3)) if title.startswith("When") else ((2, 1, 2), (3, 2, 3)):
            yield {"t": t, "k": k, "K": K} | ({"index": e.index, "sub": sub} if sub is not None else {})


def check(found, cell, notation):
    """How many equations were evaluated; those that are false, with where they are printed."""
    numbers, false, count = {}, [], 0
    for title, held, line in all_lines(found, notation):
        key = tuple(sorted(held.items()))
        if key not in numbers:
            numbers[key] = Numbers(cell, notation, held)
        for index in indexes(line, title):
            count += 1
            if not holds(numbers[key], line, index):
                false.append((title, held, line[:3], index))
    return count, false


@pytest.mark.parametrize("notation", NOTATIONS)
@pytest.mark.parametrize("name", EVERY)
def test_every_printed_equation_is_true(name, notation):
    cell = cell_of(name)
    count, false = check(document(name, notation=notation), cell, NOTATIONS[notation](trace(cell)))
    assert not false
    assert count > 80


@pytest.mark.parametrize("name", ["rnn", "lstm", "Strange"])
def test_the_brief_derivation_is_true(name):
    cell = cell_of(name)
    count, false = check(document(name, steps="brief"), cell, NOTATIONS["tidegate"](trace(cell)))
    assert not false
    assert count > 50


def gru_written():
    """The GRU as Chung et al. (2014) have it."""

    class GRU(Cell):
        gates = ("r", "z", "n")
        state = ("h",)

        def equations(a, U, h):
            r = sigmoid(a.r + U.r(h))
            z = sigmoid(a.z + U.z(h))
            n = tanh(a.n + r * U.n(h))
            return (z * n + (1 - z) * h,), (r, z, n)

    return GRU


def minimal_kept():
    class Minimal(Cell):
        gates = ("f", "n")
        state = ("h",)

        def equations(a, U, h):
            f = sigmoid(a.f + U.f(h))
            n = tanh(a.n + U.n((1 - f) * h))
            return (f * h + (1 - f) * n,), (f, n)

    return Minimal


def tide_written():
    class Tide(Cell):
        gates = ("k", "w", "n", "e")
        state = ("h", "m")
        vectors = ("s",)

        def equations(a, U, v, h, m):
            w = sigmoid(a.w + U.w(h))
            n = tanh(a.n + U.n(w * h))
            k = sigmoid(a.k + U.k(h) + v.s * m)
            m = (1 - k) * m + k * n
            e = sigmoid(a.e + U.e(m))
            return (e * tanh(m) + (1 - e) * n, m), (k, w, n, e)

    return Tide


OTHER = {"gru": ("write", gru_written()), "Minimal": ("keep", minimal_kept()), TIDE: ("write", tide_written())}


@pytest.mark.parametrize("name", OTHER)
def test_the_other_convention_is_the_cell_that_one_would_write_and_true(name):
    convention, twin = OTHER[name]
    step = in_convention(trace(cell_of(name)), convention)
    assert step is trace(twin)
    assert {value for _, value, _ in keepers(step)} == {1 if convention == "keep" else 0}
    count, false = check(document(name, convention=convention), twin, NOTATIONS["tidegate"](step))
    assert not false
    assert count > 100


@pytest.mark.parametrize("name", ["gru", "lstm", TIDE])
def test_a_wrong_factor_in_any_equation_is_found(name):
    cell = cell_of(name)
    notation = NOTATIONS["tidegate"](trace(cell))
    numbers = Numbers(cell, notation)
    found = 0
    for title, held, (left, relation, right, e) in all_lines(document(name), notation):
        if relation != "=" or held:
            continue
        wrong = left, relation, F.Product((F.Number(1.001), right)), e
        values = [numbers.of(right, index) for index in indexes(wrong, title)]
        if max(float(v.abs().max()) for v in values) > 1e-6:
            assert any(not holds(numbers, wrong, index) for index in indexes(wrong, title)), (title, left)
            found += 1
    assert found > 40


@pytest.mark.parametrize("name", EVERY)
def test_the_printed_derivatives_of_functions_are_those_of_autograd(name):
    body = [line for s in document(name).sections for line in lines(s.body) if is_rule(line)]
    assert body
    for left, _, right, _ in body:
        x = torch.linspace(-2, 2, 9, dtype=torch.float64).requires_grad_()
        (expected,) = torch.autograd.grad(FUNCTIONS[left.top.function](x).sum(), x)
        numbers = object.__new__(Numbers)
        numbers.env = {F.Name("x"): x.detach()}
        torch.testing.assert_close(numbers.of(right, {}), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", ["gru", "update-only-gru", "Minimal", TIDE])
def test_the_other_convention_is_the_same_function_with_weights_of_the_other_sign(name):
    step = trace(cell_of(name))
    values = {value for _, value, _ in keepers(step)}
    other = in_convention(step, "write" if values == {1} else "keep")
    assert other is not step
    assert in_convention(other, "keep" if values == {1} else "write") is step
    call = random_problem(step, sizes=(5, 2, 3, 4), seed=7).call
    expected = unroll(call, step).outputs.detach()
    swapped = [g for g, _, _ in keepers(step)]
    with torch.no_grad():
        w = call.weights
        for packed, names in (
            (w.w_ih, step.inputs),
            (w.w_hh, step.products),
            (w.b_ih, step.inputs),
            (w.b_hh, step.products),
        ):
            for g in swapped:
                by_name(packed, names, 4)[g].neg_()
        if step.vectors:
            w.vectors.neg_()  # Tide's vector is in its update gate alone
    torch.testing.assert_close(unroll(replace(call, step=other), other).outputs, expected, rtol=1e-12, atol=1e-13)
