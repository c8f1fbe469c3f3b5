import math

import pytest
import torch

from tidegate import Cell, log, tanh
from tidegate.errors import DivergenceError
from tidegate.train.guard import bad_value, blocks, diverged, first_bad, sound
from tidegate.train.interrupt import Interrupt


def test_a_step_is_sound_where_loss_and_norm_are_finite():
    assert sound(4.0, 1e30)
    for loss, norm in ((math.nan, 1.0), (math.inf, 1.0), (1.0, math.nan), (1.0, math.inf), (1e9, 1.0)):
        assert not sound(loss, norm)


def test_the_blocks_cover_every_recurrent_weight_once(trainer_of):
    for cell in ("gru", "lstm", "rnn", "peephole-lstm", "reset-before-gru"):
        model = trainer_of(cell=cell).model
        covered = {name: torch.zeros(len(p)) for name, p in model.named_parameters() if name.startswith("recurrent")}
        for name, _, rows in blocks(model):
            covered[name][rows] += 1
        assert all(bool((count == 1).all()) for count in covered.values()), cell


@pytest.mark.parametrize(("gate", "row"), [("r", 0), ("z", 8), ("n", 16)])
def test_a_weight_that_is_not_finite_is_named_by_its_gate(trainer_of, gate, row):
    trainer = trainer_of()
    x, y = trainer.batches.at(0, 0)
    with torch.no_grad():
        trainer.model.recurrent.weight_hh_l0[row, 3] = math.inf
    assert first_bad(trainer.model, x, y, None) == f"Not finite: the weights of gate {gate} of weight_hh_l0."


def test_a_gradient_that_overflows_in_the_backward_pass_is_found_at_its_step(trainer_of):
    """A relu network of gain 1e10 on states that begin at 1e-30: its outputs are finite, its gradient passes 1e38."""
    trainer = trainer_of(cell="rnn-relu", hidden=1)
    with torch.no_grad():
        trainer.model.recurrent.weight_ih_l0.zero_()
        trainer.model.recurrent.weight_hh_l0.fill_(1e10)
        trainer.model.recurrent.bias_ih_l0.fill_(1e-30)
        trainer.model.recurrent.bias_hh_l0.zero_()
        trainer.model.head.weight.uniform_(-1, 1)
    x, y = trainer.batches.at(0, 0)
    words = first_bad(trainer.model, x[:6], y[:6], None)
    assert "Not finite, 5 steps back through time: the gradient of gate" in words
    assert "weight_hh_l0" in words or "bias_ih_l0" in words


class Unsound(Cell):
    """Its gate g is the logarithm of a state that is zero at first: -inf, and from there NaN."""

    gates = ("n", "g")
    state = ("h",)

    def equations(a, U, h):
        g = log(h) + a.g
        n = tanh(a.n + U.n(h) + g)
        return (n * g,), (n, g)


def test_equations_that_give_no_finite_number_are_named_with_gate_and_step(trainer_of):
    trainer = trainer_of(cell=Unsound)
    with pytest.raises(DivergenceError) as stopped:
        trainer.train(Interrupt())
    assert "training diverged at step 1: loss nan" in str(stopped.value)
    assert (
        "The equations of Unsound give a value that is not finite from finite weights: gate g_l0 is -inf at step 1 of "
        "the window." in str(stopped.value)
    )
    assert "--lr and --clip are not the cause: check the equations for a log, sqrt or division" in str(stopped.value)


def test_a_value_that_overflows_later_is_found_at_its_step(trainer_of):
    trainer = trainer_of(cell="rnn-relu", hidden=4, layers=2)
    with torch.no_grad():
        trainer.model.recurrent.weight_hh_l1.fill_(1e9)
        trainer.model.recurrent.bias_ih_l1.fill_(1.0)
    x, _ = trainer.batches.at(0, 0)
    h, t = 0.0, 0
    while math.isfinite(h):  # about (4e9)^t, which passes 3.4e38 soon
        h, t = float(torch.tensor(4e9 * h + 1.0, dtype=torch.float32)), t + 1
    assert bad_value(trainer.model, x, None) == f"gate n_l1 is inf at step {t} of the window"
    assert trainer.model.recurrent.engine == "auto"


def test_after_the_first_step_the_learning_rate_is_still_the_first_suspect(trainer_of):
    trainer = trainer_of(cell="rnn-relu")
    trainer.step()
    with torch.no_grad():
        trainer.model.recurrent.weight_hh_l0.fill_(1e30)
        trainer.model.recurrent.bias_ih_l0.fill_(1.0)
    with pytest.raises(DivergenceError, match=r"The equations of ReluRNN give .* Try a lower --lr"):
        trainer.step()


def test_a_finite_loss_beyond_any_perplexity_names_the_largest_block(trainer_of):
    trainer = trainer_of(cell="lstm")
    with torch.no_grad():
        trainer.model.recurrent.bias_hh_l0[9] = 1e9  # the second gate is f
    words = diverged(trainer.model, *trainer.batches.at(0, 0), None, step=3, loss=1e9, norm=2.0)
    assert "step 3: loss 1e+09 nats per token, gradient norm 2." in words
    assert "gate f of bias_hh_l0 (up to 1e+09)" in words


def test_a_diverging_run_stops_before_its_weights_change(trainer_of):
    trainer = trainer_of(lr=1e9, schedule="constant")
    with pytest.raises(DivergenceError, match=r"step 2: .* the last good checkpoint, of step 0, .*lower --lr"):
        trainer.train(Interrupt())
    assert trainer.saved == ["last"]
    assert all(bool(p.isfinite().all()) for p in trainer.model.parameters())


def test_weights_that_are_not_finite_are_never_saved(trainer_of):
    trainer = trainer_of()
    with torch.no_grad():
        trainer.model.head.weight[0, 0] = math.nan
    with pytest.raises(DivergenceError, match="a weight is not finite"):
        trainer.save("last")
    assert trainer.saved == []
