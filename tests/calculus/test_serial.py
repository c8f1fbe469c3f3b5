"""A Step as JSON: identity there and back, and an EquationError for every other text."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate import cells
from tidegate.calculus import adjoint, trace
from tidegate.calculus.serial import MOST_CHARACTERS, MOST_NODES, dumps, loads
from tidegate.cells import CELLS, Cell
from tidegate.cells.functions import absolute, exp, log, log1p, maximum, minimum, relu, softplus, sqrt, tanh
from tidegate.errors import EquationError


class Everything(Cell):
    """Every operation that equations may use, an unused product, numbers of many digits, a folded constant."""

    gates = ("k", "n", "σ")
    state = ("h", "d_h")
    vectors = ("w",)

    def equations(a, U, v, h, d_h):
        U.σ(h * d_h)
        k = 1 / (1 + exp(-(a.k + U.k(absolute(h) / 2 - h))))
        n = log(2 + k) * softplus(a.n) - sqrt(1 + h**2) + log1p(k) + maximum(v.w * h, U.n(k * h)) * 0.1
        gate = (a.σ * (1 / 3) + tanh(U.n(k * h) - U.n(k * h) + 2)).sigmoid()
        return (-n.tanh() * k + relu(n) / 8, minimum(d_h, gate)), (k, n, gate)


EVERY = {**CELLS, "everything": Everything}


@pytest.mark.parametrize("cell", EVERY.values(), ids=EVERY)
def test_a_step_written_and_read_is_the_same_object(cell):
    text = dumps(trace(cell))
    assert loads(text) is trace(cell)
    assert loads(json.dumps(json.loads(text), indent=2)) is trace(cell)
    assert dumps(loads(text)) == text


def test_the_text_of_a_small_cell_is_the_documented_one():
    assert json.loads(dumps(trace(cells.RNN))) == {
        "tidegate": "step", "version": 1, "name": "RNN", "gates": ["n"], "state": ["h"], "vectors": [],
        "nodes": [
            ["leaf", "state", "h"], ["leaf", "input", "n"], ["leaf", "product", "n"], ["add", 1, 2], ["tanh", 3],
        ],
        "products": {"n": 0}, "gate": {"n": 4}, "new": {"h": 4},
    }  # fmt: skip


def test_another_class_of_the_same_name_and_equations_has_the_same_step():
    class GRU(Cell):
        gates = ("r", "z", "n")
        state = ("h",)
        equations = cells.GRU.equations

    class Other(GRU):
        pass

    assert trace(GRU) is trace(cells.GRU)
    assert trace(Other) is not trace(cells.GRU)


def test_a_step_that_was_loaded_has_an_adjoint_and_prints():
    step = loads(dumps(trace(cells.LSTM)).replace('"LSTM"', '"Stranger"'))
    assert step.name == "Stranger"
    assert step is not trace(cells.LSTM)
    assert str(adjoint(step)).replace("Stranger", "LSTM") == str(adjoint(trace(cells.LSTM)))


def rnn(**changes):
    return json.dumps({**json.loads(dumps(trace(cells.RNN))), **changes})


def nodes(*more):
    return json.loads(dumps(trace(cells.RNN)))["nodes"] + [*more]


MISTAKES = {
    "no text": (None, "must be text, got NoneType"),
    "no JSON": ("{", "cannot be read as JSON"),
    "code": ("__import__('os').system('true')", "cannot be read as JSON"),
    "too deep": ("[" * 200_000, "cannot be read as JSON"),
    "too long": (" " * (MOST_CHARACTERS + 1), "1,000,001 characters"),
    "a number": ("1", '"tidegate": "step"'),
    "another format": (rnn(tidegate="model"), '"tidegate": "step"'),
    "another version": (rnn(version=2), "`version` must be 1, got 2"),
    "a true version": (rnn(version=True), "`version` must be 1, got True"),
    "a field too many": (rnn(code="x"), "unknown field 'code'"),
    "a field missing": (json.dumps({"tidegate": "step", "version": 1}), "no `name`"),
    "a key twice": ('{"tidegate": "step", "tidegate": "step"}', "a key occurs twice"),
    "a name that is none": (rnn(name="a b"), "name of a cell must be a Python identifier"),
    "a name that is a number": (rnn(name=1), "`name` must be text"),
    "gates that are text": (rnn(gates="n"), "gates must be a tuple of names"),
    "a keyword": (rnn(gates=["lambda"]), "gates must be a tuple of names"),
    "no gates": (rnn(gates=[]), "at least one state and one gate"),
    "nodes that are none": (rnn(nodes={}), "`nodes` must be a list"),
    "too many nodes": (rnn(nodes=[["constant", 1]] * (MOST_NODES + 1)), "at most 10,000 nodes"),
    "a node that is none": (rnn(nodes=nodes(3)), "node 5 must be a list"),
    "an empty node": (rnn(nodes=nodes([])), "node 5 must be a list"),
    "an unknown operation": (rnn(nodes=nodes(["system", 0])), "unknown operation 'system'"),
    "too few arguments": (rnn(nodes=nodes(["add", 0])), "add, must have 2 arguments, got 1"),
    "too many arguments": (rnn(nodes=nodes(["tanh", 0, 1])), "tanh, must have 1 argument, got 2"),
    "a circle": (rnn(nodes=nodes(["tanh", 5])), r"5 is not the index of a node before it \(0 to 4\)"),
    "a negative index": (rnn(nodes=nodes(["tanh", -1])), "-1 is not the index"),
    "a true index": (rnn(nodes=nodes(["tanh", True])), "True is not the index"),
    "a fraction": (rnn(nodes=nodes(["tanh", 1.0])), "1.0 is not the index"),
    "an infinite number": (rnn(nodes=nodes(["constant", float("inf")])), "must be finite"),
    "a number that overflows": (rnn(nodes=nodes(["constant", 10**400])), "must be finite"),
    "no number": (rnn(nodes=nodes(["constant", "1"])), "must have one number"),
    "a leaf without a name": (rnn(nodes=nodes(["leaf", "state"])), "must have a kind and a name"),
    "an unknown kind": (rnn(nodes=nodes(["leaf", "d_state", "h"])), "of the kind input, product, state, vector,"),
    "an undeclared name": (rnn(nodes=nodes(["leaf", "vector", "w"])), r"'w' is not declared; vectors = \(\)"),
    "a gate without a value": (rnn(gate={}), "`gate` must give a node for each of n"),
    "a stranger's product": (rnn(products={"m": 0}), "`products` must give a node"),
    "a product without operand": (rnn(products={}), "product of gate n is used and has no operand"),
    "a product of itself": (rnn(products={"n": 4}), "products of .'n'. depend on each other"),
    "a product that is no index": (rnn(products={"n": 9}), "9 is not the index"),
    "a state that is a number": (rnn(nodes=nodes(["constant", 2]), new={"h": 5}), "value of h is the number 2"),
    "an unchanged state": (rnn(new={"h": 0}), "state 'h' is returned unchanged"),
    "an unused vector": (rnn(vectors=["w"]), "vector 'w' is declared but never used"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_text_that_is_not_a_step_is_an_error_with_a_message(mistake):
    text, message = MISTAKES[mistake]
    with pytest.raises(EquationError, match=message):
        loads(text)


def changed(content, draw):
    """The JSON value with one part of it, at a random place, replaced, removed or repeated."""
    if isinstance(content, dict) and content and draw(st.booleans()):
        key = draw(st.sampled_from(sorted(content)))
        return {**content, key: changed(content[key], draw)}
    if isinstance(content, list) and content and draw(st.integers(0, 3)):
        i = draw(st.integers(0, len(content) - 1))
        new = draw(st.sampled_from(["inside", "remove", "repeat"]))
        middle = {"inside": [changed(content[i], draw)], "remove": [], "repeat": [content[i]] * 2}[new]
        return content[:i] + middle + content[i + 1 :]
    scalars = st.one_of(
        st.none(), st.booleans(), st.integers(-2, 40), st.floats(), st.text(max_size=3),
        st.sampled_from(["add", "tanh", "leaf", "state", "product", "h", "n", "r", "d_state", "constant"]),
    )  # fmt: skip
    return draw(st.one_of(scalars, st.lists(scalars, max_size=3), st.dictionaries(st.text(max_size=2), scalars)))


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_changed_json_is_another_step_or_an_equation_error(data):
    content = json.loads(dumps(trace(data.draw(st.sampled_from(list(EVERY.values()))))))
    for _ in range(data.draw(st.integers(1, 3))):
        content = changed(content, data.draw)
    text = json.dumps(content)
    try:
        step = loads(text)
    except EquationError:
        return
    assert loads(dumps(step)) is step


@given(st.text(max_size=40))
def test_any_other_text_is_an_equation_error(text):
    with pytest.raises(EquationError):
        loads(text)
