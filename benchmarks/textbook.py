"""The textbook's training step: batch 32, 35 steps, 256 units, 28 characters as one-hot rows, SGD, clipping.

Source of the workload: Zhang et al., Dive into Deep Learning (2021), chapters 8 and 9; the edition of 2023 trains 32
units instead.
"""

from collections.abc import Callable
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import get_total_norm

import tidegate
from benchmarks.pairs import Pair, alternate
from benchmarks.training import outside, outside_in_our_loop

B, T, H, V = 32, 35, 256, 28
# The textbook's letter for each gate.
TEXTBOOK = {"r": "r", "z": "z", "n": "h"}


class FromScratch(nn.Module):
    """The textbook's own GRU, a loop over time steps, with the reset gate applied before the matrix product."""

    def __init__(self) -> None:
        super().__init__()
        for gate in "rzn":
            for name, shape in (("x", (V, H)), ("h", (H, H)), ("b", (H,))):
                self.register_parameter(f"{name}_{gate}", nn.Parameter(torch.randn(shape) * 0.01))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h, outputs = x.new_zeros(x.shape[1], H), []
        for x_t in x:
            r = torch.sigmoid(x_t @ self.x_r + h @ self.h_r + self.b_r)
            z = torch.sigmoid(x_t @ self.x_z + h @ self.h_z + self.b_z)
            n = torch.tanh(x_t @ self.x_n + (r * h) @ self.h_n + self.b_n)
            h = z * h + (1 - z) * n
            outputs.append(h)
        return torch.stack(outputs), h

    def ours(self) -> nn.Module:
        """Our layer with the same parameters."""
        letters = {"x": "W_x", "h": "W_h", "b": "b_"}
        named = {f"{letters[name[0]]}{TEXTBOOK[name[2]]}": p.detach() for name, p in self.named_parameters()}
        return tidegate.convert.from_textbook(named)


CELL_OF = {nn.GRU: "gru", nn.LSTM: "lstm", nn.RNN: "rnn", FromScratch: "reset-before-gru"}


def copy_of(theirs: nn.Module) -> nn.Module:
    """Our layer with a copy of the parameters of a layer of torch.nn."""
    return tidegate.convert.from_torch(deepcopy(theirs))


def training_step(layer: nn.Module, *, one_hot: bool, torchs: bool) -> Callable[[], Tensor]:
    """One training step. With `torchs`, output layer, loss, clipping and update are torch's functions in their fastest
    form: the fused optimiser, which scales the gradients as it reads them; otherwise they are ours."""
    head = nn.Linear(H, V)
    parameters = [*layer.parameters(), *head.parameters()]
    optimiser = torch.optim.SGD(parameters, lr=1.0, fused=True)
    tokens = torch.randint(V, (T, B))
    target = torch.randint(V, (T, B))

    def loss_of() -> Tensor:
        y, _ = layer(F.one_hot(tokens, V).float() if one_hot else tokens)
        if torchs:
            return F.cross_entropy(head(y.view(T * B, H)), target.view(T * B))
        return tidegate.linear_cross_entropy(y, head.weight, head.bias, target)

    def update() -> None:
        if not torchs:
            tidegate.clip_and_step(optimiser, 1.0)
            return
        scale = float(get_total_norm([p.grad for p in parameters if p.grad is not None], foreach=False)) + 1e-6
        optimiser.grad_scale = torch.tensor(scale) if scale > 1 else None  # type: ignore[attr-defined]
        optimiser.step()

    def step() -> Tensor:
        """Run a step; returns the loss before it."""
        for parameter in parameters:
            parameter.grad = None
        loss = loss_of()
        loss.backward()
        update()
        return loss.detach()

    return step


def check(name: str, *steps: Callable[[], Tensor]) -> None:
    """Both layers must have the same losses in the first steps; parameters, tokens and output layer are the same."""
    ours, theirs = (torch.stack([step() for _ in range(5)]) for step in steps)
    assert torch.allclose(ours, theirs, rtol=1e-4), f"{name}: losses {ours.tolist()} differ from {theirs.tolist()}"


def run(*, grid: str) -> list[Pair]:
    seconds = 6.0 if grid == "full" else 2.0
    cases = [(f"{kind.__name__} against nn.{kind.__name__}", kind(V, H)) for kind in (nn.GRU, nn.LSTM, nn.RNN)]
    cases.append(("ResetBeforeGRU against the textbook's loop", FromScratch()))
    found = []
    for name, theirs in cases:
        ours = theirs.ours() if isinstance(theirs, FromScratch) else copy_of(theirs)
        steps = []
        for layer in (ours, theirs):
            torch.manual_seed(1)
            steps.append(training_step(layer, one_hot=layer is theirs, torchs=layer is theirs))
        # The textbook has one bias per gate, so the second one is not trained while the two are compared.
        ours.bias_hh_l0.requires_grad_(not isinstance(theirs, FromScratch))
        check(name, *steps)
        ours.bias_hh_l0.requires_grad_(True)
        pair = alternate(f"step: {name}", *steps, seconds)
        rate = T * B / pair.ours * 1e3
        shares = [outside(training_step(ours, one_hot=False, torchs=torchs)) for torchs in (False, True)]
        shares.append(outside_in_our_loop(CELL_OF[type(theirs)], B, T, H))
        print(
            f"{pair}  {rate:,.0f} tokens/s; outside the layer's kernels {shares[0]:.0%} of the step, {shares[1]:.0%} "
            f"with torch's output layer, loss and update, {shares[2]:.0%} in `tidegate train`",
            flush=True,
        )
        found.append(pair)
    print(f"  ResetBeforeGRU runs at {found[0].ours / found[3].ours:.2f} of our GRU's rate\n", flush=True)
    return found
