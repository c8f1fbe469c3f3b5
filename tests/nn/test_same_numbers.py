"""Tidegate's twins against torch.nn over the product of the options: outputs, final states, and every gradient.

Run as a program, it sweeps the whole product and prints how many cases there were and the worst error of each kind:

    python tests/nn/test_same_numbers.py
"""

import itertools
import warnings
from collections import defaultdict
from dataclasses import asdict, dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import tidegate

FORMS = ("batched", "unbatched", "packed", "packed, unsorted", "packed, even")
# Worst relative L2 error a tensor may have, against torch.nn in float64.
BOUNDS = {torch.float64: 1e-12, torch.float32: 1e-6}


@dataclass(frozen=True)
class Case:
    kind: str
    form: str
    num_layers: int = 1
    bias: bool = True
    batch_first: bool = False
    bidirectional: bool = False
    given: bool = True
    dtype: torch.dtype = torch.float64
    sizes: tuple[int, int, int, int] = (5, 3, 4, 6)  # T, B, D, H

    def arguments(self) -> dict:
        kind = {
            "relu": {"nonlinearity": "relu"},
            "projected": {"proj_size": max(1, self.sizes[3] // 2)},
        }.get(self.kind, {})
        names = ("num_layers", "bias", "batch_first", "bidirectional", "dtype")
        return kind | {name: getattr(self, name) for name in names}

    def names(self) -> str:
        return {"tanh": "RNN", "relu": "RNN", "gru": "GRU"}.get(self.kind, "LSTM")

    def __str__(self) -> str:
        return " ".join(f"{k}={v}" for k, v in asdict(self).items())


def product(**options) -> list[Case]:
    cases = [Case(**dict(zip(options, values))) for values in itertools.product(*options.values())]
    return [c for c in cases if c.form != "packed" or c.sizes[1] > 1]


def modules(case: Case) -> tuple[nn.Module, nn.Module]:
    """torch.nn's in float64 and ours, of the same seed."""
    D, H = case.sizes[2:]
    torch.manual_seed(0)
    ours = getattr(tidegate, case.names())(D, H, **case.arguments())
    torch.manual_seed(0)
    same = getattr(nn, case.names())(D, H, **case.arguments())
    for (name, p), (other, q) in zip(ours.named_parameters(), same.named_parameters(), strict=True):
        assert name == other
        assert torch.equal(p, q)
    return same.double(), ours


def inputs(case: Case) -> tuple[Tensor | PackedSequence, tuple[Tensor, ...] | None, Tensor]:
    """x in the case's form, the initial states, and the tensor that needs a gradient."""
    T, B, D, H = case.sizes
    random = torch.Generator().manual_seed(1)
    x = torch.randn(T, B, D, generator=random, dtype=torch.float64)
    count = case.num_layers * (2 if case.bidirectional else 1)
    widths = {"projected": (max(1, H // 2), H), "lstm": (H, H)}.get(case.kind, (H,))
    states = tuple(torch.randn(count, B, w, generator=random, dtype=torch.float64) for w in widths)
    x, *states = (t.to(case.dtype).double() for t in (x, *states))
    if case.form == "unbatched":
        x, states = x[:, 0], [s[:, 0] for s in states]
    elif case.batch_first:
        x = x.transpose(0, 1)  # not contiguous
    return x, tuple(states) if case.given else None, x


def results(module: nn.Module, case: Case, dtype: torch.dtype) -> dict[str, Tensor]:
    x, states, leaf = inputs(case)
    leaf = leaf.detach().to(dtype).requires_grad_()
    states = None if states is None else tuple(s.detach().to(dtype).requires_grad_() for s in states)
    T, B = case.sizes[:2]
    x = leaf
    if case.form.startswith("packed"):
        lengths = [T] * B if case.form == "packed, even" else [max(1, (T * (2 * b + 1)) % (T + 1)) for b in range(B)]
        lengths = lengths if case.form == "packed, unsorted" else sorted(lengths, reverse=True)
        x = pack_padded_sequence(leaf, lengths, case.batch_first, enforce_sorted=case.form != "packed, unsorted")
    hx = None if states is None else (states if len(states) > 1 else states[0])
    y, final = module(x, hx)
    y = y.data if isinstance(y, PackedSequence) else y
    final = final if isinstance(final, tuple) else (final,)
    random = torch.Generator().manual_seed(2)
    loss = sum((t * torch.randn(t.shape, generator=random, dtype=torch.float64).to(dtype)).sum() for t in (y, *final))
    loss.backward()
    found = {"outputs": y.detach()} | {f"final state {i}": s.detach() for i, s in enumerate(final)}
    found["gradient of x"] = leaf.grad
    found |= {f"gradient of state {i}": s.grad for i, s in enumerate(states or ())}
    found |= {f"gradient of {name}": p.grad for name, p in module.named_parameters()}
    return found


def errors(case: Case, *, of_torch: bool = False) -> dict[str, float]:
    """Relative L2 error of every tensor against torch.nn in float64; of torch.nn in the case's dtype, if asked."""
    same, ours = modules(case)
    expected = results(same, case, torch.float64)
    got = results(modules(case)[0].to(case.dtype) if of_torch else ours, case, case.dtype)
    assert expected.keys() == got.keys()
    found = {}
    for name, e in expected.items():
        assert got[name].shape == e.shape
        assert got[name].dtype == case.dtype
        found[name] = float((got[name].double() - e).norm() / e.norm().clamp_min(1e-30)) if e.numel() else 0.0
    return found


CASES = product(
    kind=("tanh", "relu", "gru", "lstm", "projected"),
    form=FORMS,
    num_layers=(1, 2),
    bias=(True, False),
    batch_first=(True, False),
    bidirectional=(True, False),
    given=(True, False),
)
SINGLE = product(
    kind=("tanh", "relu", "gru", "lstm", "projected"), form=FORMS, bidirectional=(True, False), dtype=(torch.float32,)
)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("cases", [CASES[i::16] for i in range(16)] + [SINGLE])
def test_outputs_states_and_gradients_are_those_of_torch(cases):
    assert cases
    for case in cases:
        for name, error in errors(case).items():
            assert error <= BOUNDS[case.dtype], f"{name}: {error:.2e} in {case}"


def test_the_check_detects_a_wrong_gradient(monkeypatch):
    case = Case("gru", "batched")
    monkeypatch.setattr(tidegate.GRU, "cell", tidegate.cells.ResetBeforeGRU)
    assert max(errors(case).values()) > 1e-3


def main() -> None:
    warnings.simplefilter("ignore")
    cases = product(
        kind=("tanh", "relu", "gru", "lstm", "projected"),
        form=FORMS,
        num_layers=(1, 2, 3),
        bias=(True, False),
        batch_first=(True, False),
        bidirectional=(True, False),
        given=(True, False),
        dtype=(torch.float64, torch.float32),
        sizes=((1, 1, 1, 2), (5, 3, 4, 6), (17, 4, 3, 33), (3, 1, 65, 16)),
    )
    worst: dict[tuple, list[float]] = defaultdict(lambda: [0.0, 0.0])
    compared = 0
    for case in cases:
        ours, torchs = errors(case), errors(case, of_torch=True)
        for name, error in ours.items():
            compared += 1
            kind = name.split("_")[0].removesuffix(" 0").removesuffix(" 1")
            pair = worst[str(case.dtype), kind]
            pair[0], pair[1] = max(pair[0], error), max(pair[1], torchs[name])
    print(f"{len(cases)} cases, {compared} tensors compared; worst relative L2 error against torch.nn in float64:")
    for (dtype, kind), (error, torchs) in sorted(worst.items()):
        print(f"  {dtype:14} {kind:24} {error:.1e}   (torch.nn in that dtype: {torchs:.1e})")


if __name__ == "__main__":
    main()
