"""docs/measured/imposed.py: gates are set at the chosen steps and nowhere else, for every cell with sigmoid gates."""

import pytest
import torch

import tidegate
from measured.imposed import impose, where
from measured.situations import SITUATIONS
from measured.training import generator
from tidegate import cells, sigmoid, tanh
from tidegate.cells import CELLS, Cell

T, B, D, H = 7, 3, 4, 5


class MinimalGatedUnit(Cell):
    """f = sigmoid(W_f x + b_f + U_f h + c_f), n = tanh(W_n x + b_n + U_n (f * h) + c_n), h' = (1 - f) * h + f * n"""

    gates = ("f", "n")
    state = ("h",)

    def equations(a, U, h):
        f = sigmoid(a.f + U.f(h))
        n = tanh(a.n + U.n(f * h))
        return ((1 - f) * h + f * n,), (f, n)


SIGMOIDS = [
    (cell, gate)
    for cell in (*CELLS.values(), MinimalGatedUnit)
    for gate in cell.gates
    if gate in ("r", "z", "i", "f", "o")
]


def random_layer(cell):
    torch.manual_seed(3)
    layer = tidegate.Recurrent(cell, D, H, dtype=torch.float64)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    return layer, torch.randn(T, B, D, dtype=torch.float64)


def test_every_gated_cell_and_an_own_one_are_covered():
    gated = {name for name, cell in CELLS.items() if len(cell.gates) > 1}
    assert {cell for cell, _ in SIGMOIDS} == {MinimalGatedUnit, *(CELLS[name] for name in gated)}


@pytest.mark.parametrize(("cell", "gate"), SIGMOIDS, ids=lambda x: getattr(x, "__name__", x))
def test_a_gate_has_its_value_at_the_chosen_steps_and_follows_its_equation_before_them(cell, gate):
    layer, x = random_layer(cell)
    values = torch.full((T, B), torch.nan)
    values[3, 0], values[3, 1], values[5, 0] = 0, 1, 1
    new, inputs = impose(layer, x, {gate: values})
    found, free = (tidegate.trace(*pair)[f"{gate}_l0"] for pair in ((new, inputs), (layer, x)))
    assert found[3, 0].max() < 1e-15
    assert 1 - min(found[3, 1].min(), found[5, 0].min()) < 1e-15
    torch.testing.assert_close(found[:3], free[:3], rtol=0, atol=1e-14)
    torch.testing.assert_close(found[:, 2], free[:, 2], rtol=0, atol=1e-14)  # nothing is set in this sequence
    assert (found[4, :2] - free[4, :2]).abs().max() > 1e-3  # later gates depend on the state that has changed


def test_the_gru_with_one_gate_fixed_is_the_gru_without_that_gate():
    """r = 1 of the GRU against UpdateOnlyGRU, z = 0 of the reset-before GRU against ResetOnlyGRU, equal weights."""
    everywhere = torch.ones(T, B, dtype=torch.bool)
    for cell, gate, value, reduced in (
        (cells.GRU, "r", 1, cells.UpdateOnlyGRU),
        (cells.ResetBeforeGRU, "z", 0, cells.ResetOnlyGRU),
    ):
        layer, x = random_layer(cell)
        less = tidegate.Recurrent(reduced, D, H, dtype=torch.float64)
        with torch.no_grad():
            for kept in reduced.gates:
                for name, rows in less.gate_parameters(kept).items():
                    rows.copy_(layer.gate_parameters(kept)[name])
        new, inputs = impose(layer, x, {gate: where(everywhere, value)})
        torch.testing.assert_close(new(inputs)[0], less(x)[0], rtol=0, atol=1e-13)


def test_class_indices_give_the_same_as_their_one_hot_rows():
    layer, _ = random_layer(cells.GRU)
    x = torch.randint(D, (T, B))
    values = {"z": where(x == 1, 1), "r": where(x == 2, 0)}
    one_hot = torch.nn.functional.one_hot(x, D).double()
    (a, inputs), (b, same) = impose(layer, x, values), impose(layer, one_hot, values)
    assert torch.equal(inputs, same)
    torch.testing.assert_close(a(inputs)[0], b(same)[0])


@pytest.mark.parametrize("name", SITUATIONS)
def test_windows_hold_exactly_one_event_and_no_step_is_both_event_and_kept(name):
    situation = SITUATIONS[name]
    batch = situation.task.batch(40, generator(1))
    events, kept = situation.events(batch), situation.kept(batch)
    assert not (events & kept).any()
    for b in range(40):
        first = next(t for t in range(len(events) + 1) if t == len(events) or events[t, b])
        assert bool(kept[first + 1 :, b].any()) == (not events[first + 1 :, b].all())
        assert not kept[:first, b].any()
    windows = situation.windows(batch)
    assert windows
    for t, b in windows:
        steps = range(t - situation.before, t + situation.after + 1)
        assert [s for s in steps if events[s, b]] == [t]
