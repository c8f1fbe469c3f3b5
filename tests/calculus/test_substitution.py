import math

from tidegate.calculus import trace
from tidegate.calculus.expression import symbol
from tidegate.calculus.ranges import largest, range_of, split_by_range
from tidegate.calculus.substitution import substitute
from tidegate.cells import GRU, LSTM, RNN

x, y = symbol("x"), symbol("y")


def test_numbers_are_evaluated_and_the_rest_is_kept():
    (e,) = substitute([(x * y + x.tanh()).sigmoid()], {x: 0})
    assert e.value == 0.5
    (e,) = substitute([x * y + y.exp()], {x: 1})
    assert e is y + y.exp()


def test_subexpressions_are_replaced_everywhere():
    gate = (x + y).sigmoid()
    (e,) = substitute([gate * x + (1 - gate) * y], {gate: 1})
    assert e is x


def test_an_expression_can_replace_another():
    (e,) = substitute([x * x.tanh()], {x: y})
    assert e is y * y.tanh()


def test_a_gru_of_open_reset_and_closed_update_is_the_rnn():
    step = trace(GRU)
    (h,) = substitute([step.new["h"]], {step.gate["r"]: 1, step.gate["z"]: 0})
    assert h is trace(RNN).new["h"]


def test_an_lstm_with_open_forget_and_closed_input_gate_keeps_its_cell_state():
    step = trace(LSTM)
    (c,) = substitute([step.new["c"]], {step.gate["f"]: 1, step.gate["i"]: 0})
    assert c is step.old["c"]


def test_ranges_follow_from_those_of_sigmoid_and_tanh():
    s, t = x.sigmoid(), y.tanh()
    assert range_of(s) == (0, 1)
    assert range_of(1 - t * t) == (0, 1)
    assert range_of(1 - s) == (0, 1)
    assert range_of(s * t) == (-1, 1)
    assert range_of(-s) == (-1, 0)
    assert range_of(s + t) == (-1, 2)
    assert range_of(x) == (-math.inf, math.inf)


def test_a_sigmoid_times_its_complement_is_at_most_a_quarter():
    s = x.sigmoid()
    assert largest(s * (1 - s)) == 0.25
    assert split_by_range(y * s * (1 - s)) == (0.25, y)
    assert largest(y * s) == math.inf
