"""A Step in a notebook: the equations as they are, well formed, and a picture."""

import pytest
from tests.calculus.diagram.cells import Everything
from tests.html import read_html

import tidegate
from tidegate.calculus import trace
from tidegate.calculus.derivation.formula import Apply, Name, Number, Product, Quotient, Square, Sum
from tidegate.calculus.display import equations
from tidegate.cells import CELLS

EVERY = [*CELLS.values(), Everything]


@pytest.mark.parametrize("cell", EVERY)
def test_a_step_shows_every_equation_once_in_an_order_in_which_they_can_be_computed(cell):
    step = trace(cell)
    shown = equations(step)
    names = [name.letter for name, _ in shown]
    assert sorted(names) == sorted([*step.gates, *step.state])
    known = {Name(s, time=-1) for s in step.state} | {Name("x", time=0)}
    for name, value in shown:
        assert {n for n in names_in(value) if n.time is not None} <= known
        known.add(name)


def names_in(formula):
    match formula:
        case Name():
            return {formula}
        case Number():
            return set()
        case Sum():
            return set().union(*(names_in(term) for _, term in formula.terms))
        case Product():
            return set().union(*map(names_in, formula.factors))
        case Apply():
            return set().union(*map(names_in, formula.arguments))
        case Quotient():
            return names_in(formula.top) | names_in(formula.bottom)
        case Square():
            return names_in(formula.base)
    raise TypeError(formula)


@pytest.mark.parametrize("cell", EVERY)
def test_the_html_is_well_formed_and_has_the_equations_and_the_diagram(cell):
    step = trace(cell)
    root = read_html(step._repr_html_())
    assert len(list(root.iter("mtr"))) == len(step.gates) + len(step.state)
    assert len(list(root.iter("svg"))) == 1


def test_the_latex_is_one_aligned_formula():
    shown = trace(tidegate.cells.GRU)._repr_latex_()
    assert shown.startswith("$$\\begin{aligned}")
    assert r"h_{t} &= \left(1 - z_{t}\right) \odot n_{t} + z_{t} \odot h_{t-1}" in shown
    assert r"r_{t} &= \sigma\left(W_{r}\, x_{t} + b_{r} + U_{r}\, h_{t-1} + c_{r}\right)" in shown
    assert shown.count("&=") == 4


def test_equations_too_large_to_be_printed_are_said_to_be_too_large():
    class Long(tidegate.Cell):
        gates = ("n",)
        state = ("h",)

        def equations(a, U, h):
            for _ in range(3000):
                h = tidegate.tanh(h) * h
            return (h + a.n,), (a.n,)

    step = trace(Long)
    assert step._repr_latex_() is None
    text = "".join(read_html(step._repr_html_()).itertext())
    assert "too large to be printed" in text
    assert "too large for a diagram" in text
