"""Outputs and states are ordinary tensors: every in-place operation does what it does after the layers of torch.nn."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import tidegate
from tidegate.engines.choose import NAMES

OPERATIONS = {
    "detach_": lambda t: t.detach_(),
    "mul_": lambda t: t.mul_(2),
    "add_": lambda t: t.add_(1),
    "zero_": lambda t: t.zero_(),
    "relu_": lambda t: t.relu_(),
    "clamp_": lambda t: t.clamp_(-0.1, 0.1),
    "copy_": lambda t: t.copy_(torch.ones_like(t)),
    "a row": lambda t: t[0].mul_(2),
    "an assignment": lambda t: t.__setitem__((..., 0), 3.0),
    "transpose_": lambda t: t.transpose_(0, 1),
    "unsqueeze_": lambda t: t.unsqueeze_(0),
    "detached": lambda t: t.detach().mul_(2),
}
FORMS = {
    "plain": {},
    "batch_first": {"batch_first": True},
    "bidirectional": {"bidirectional": True},
    "stacked": {"num_layers": 2},
    "stacked both ways": {"num_layers": 2, "bidirectional": True},
    "unbatched": {},
    "packed": {},
    "packed, unsorted": {},
}
KINDS = {"RNN": ("y", "h"), "GRU": ("y", "h"), "LSTM": ("y", "h", "c")}
ENGINES = [name for name in NAMES if name != "auto"]


def run(layer: nn.Module, form: str) -> tuple[dict[str, Tensor], Tensor]:
    """The outputs and final states by name, and the input."""
    x = torch.linspace(-1, 1, 5 * 3 * 2, dtype=torch.float64).sin().view(5, 3, 2).requires_grad_()
    given = {
        "unbatched": lambda: x[:, 0],
        "packed": lambda: pack_padded_sequence(x, torch.tensor([5, 4, 2])),
        "packed, unsorted": lambda: pack_padded_sequence(x, torch.tensor([2, 5, 4]), enforce_sorted=False),
        "batch_first": lambda: x.transpose(0, 1),
    }.get(form, lambda: x)()
    y, state = layer(given)
    y = y.data if isinstance(y, PackedSequence) else y
    states = state if isinstance(state, tuple) else (state,)
    return {"y": y, **dict(zip("hc", states))}, x


def outcome(layer: nn.Module, form: str, target: str, operation: str, *, grad: bool) -> list[Tensor] | type[Exception]:
    """All tensors and gradients after the operation, or the type of the error that it or the backward pass raised."""
    with torch.set_grad_enabled(grad):
        found, x = run(layer, form)
        try:
            OPERATIONS[operation](found[target])
            if not grad:
                return list(found.values())
            needing = [t for t in found.values() if t.requires_grad]
            loss = sum((t * torch.arange(t.numel()).view(t.shape).cos()).sum() for t in needing)
            wanted = [x, *layer.parameters()]
            gradients = torch.autograd.grad(loss, wanted, allow_unused=True, materialize_grads=True)
            return [t.detach() for t in found.values()] + list(gradients)
        except RuntimeError as error:
            return type(error)


def layers(kind: str, form: str, engine: str) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    theirs = getattr(nn, kind)(2, 4, dtype=torch.float64, **FORMS[form])
    ours = getattr(tidegate, kind)(2, 4, dtype=torch.float64, engine=engine, **FORMS[form])
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("grad", [True, False], ids=["grad", "no_grad"])
def test_in_place_operations_on_results_work_as_with_torch_nn(kind, form, engine, grad):
    wrong = []
    for target in KINDS[kind]:
        for operation in OPERATIONS:
            got, expected = (outcome(m, form, target, operation, grad=grad) for m in layers(kind, form, engine))
            if isinstance(expected, type):
                # torch.nn.LSTM with batch_first returns a view, which cannot be detached in place; ours can.
                same = operation == "detach_" if isinstance(got, list) else issubclass(got, expected)
            else:
                same = isinstance(got, list) and all(
                    a.shape == b.shape and torch.allclose(a, b, rtol=1e-10, atol=1e-12)
                    for a, b in zip(got, expected, strict=True)
                )
            if not same:
                say = [r.__name__ if isinstance(r, type) else "numbers" for r in (got, expected)]
                wrong.append(f"{target}.{operation}: {say[0]} where torch.nn gives {say[1]}")
    assert not wrong


def test_the_check_detects_a_wrong_outcome():
    ours, theirs = layers("GRU", "plain", "eager")
    got, other = (outcome(m, "plain", "y", "mul_", grad=True) for m in (ours, theirs))
    assert not torch.allclose(got[0] + 1, other[0])
    assert outcome(theirs, "unbatched", "y", "detach_", grad=True) is RuntimeError


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("engine", ["cpu", "eager"])
def test_the_state_of_a_training_loop_is_detached_in_place(kind, engine):
    """As in Dive into Deep Learning: `for s in state: s.detach_()` between the batches of one epoch."""
    layer = getattr(tidegate, kind)(2, 4, engine=engine)
    optimiser = torch.optim.SGD(layer.parameters(), 0.1)
    x, state = torch.randn(5, 3, 2), None
    for _ in range(3):
        if state is not None:
            for s in state if isinstance(state, tuple) else (state,):
                s.detach_()
        y, state = layer(x, state)
        optimiser.zero_grad()
        y.square().mean().backward()
        optimiser.step()


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_and_states_share_no_memory_with_each_other(kind):
    found, _ = run(getattr(tidegate, kind)(2, 4, dtype=torch.float64), "plain")
    assert len({t.untyped_storage().data_ptr() for t in found.values()}) == len(found)
