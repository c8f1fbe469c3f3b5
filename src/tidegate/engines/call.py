"""The engine interface: Call and Result, for one whole sequence through one layer in one direction.

Letters: T time, B batch, D input size, H hidden size, G gates (Ga of them with an input, Gq with a product),
P the columns of the output state: H, or fewer where the output is projected.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from tidegate.calculus import Step
from tidegate.errors import IndicesError


@dataclass(frozen=True)
class Weights:
    """The parameters of one layer and direction, in the layout of torch.nn.

    w_ih (Ga*H, D) and b_ih (Ga*H,) hold the gates of `step.inputs` one after the other, w_hh (Gq*H, H) and b_hh (Gq*H,)
    those of `step.products`, and vectors (V*H,) those of `step.vectors`. Biases may be None. With w_hr (P, H) the
    output state is projected, h = h' w_hr^T, at the end of the step: outputs, h and w_hh have P columns.
    """

    w_ih: Tensor
    w_hh: Tensor
    b_ih: Tensor | None = None
    b_hh: Tensor | None = None
    vectors: Tensor | None = None
    w_hr: Tensor | None = None

    def tensors(self) -> tuple[Tensor | None, ...]:
        return self.w_ih, self.w_hh, self.b_ih, self.b_hh, self.vectors, self.w_hr


@dataclass(frozen=True)
class Call:
    """A whole sequence through one layer in one direction.

    x: (T, B, D), or an integer tensor (T, B) of class indices 0 <= x < D, equivalent to one-hot rows.
    states: the initial states, one (B, H) each; the first (B, P).
    reverse: t runs from T-1 down to 0; the output of step t is still at index t.
    lengths: (B,) integers in 0..T. From a sequence's length on its states stay constant and its outputs are zero.
    resets: (T, B), true where the states become zero before step t.
    keep_gates: the result holds every gate and every state at every step.
    recompute: save states at about sqrt(T) steps only, and run the steps between them again in the backward pass: much
    less memory for long sequences, the same gradients. An engine that does not support this refuses the call. Not
    together with keep_gates.
    precision: of matrix products of float32 numbers, in the words of torch.set_float32_matmul_precision: "highest",
    "high" or "medium". For the CPU kernels; torch's own operations follow torch's switch.
    """

    step: Step
    x: Tensor
    states: tuple[Tensor, ...]
    weights: Weights
    reverse: bool = False
    lengths: Tensor | None = None
    resets: Tensor | None = None
    keep_gates: bool = False
    recompute: bool = False
    precision: str = "highest"

    @property
    def T(self) -> int:
        return self.x.shape[0]

    @property
    def B(self) -> int:
        return self.x.shape[1]

    @property
    def D(self) -> int:
        return self.weights.w_ih.shape[1]

    @property
    def H(self) -> int:
        return self.weights.w_ih.shape[0] // len(self.step.inputs)

    @property
    def P(self) -> int:
        return self.states[0].shape[1]

    @property
    def indexed(self) -> bool:
        """Whether x holds class indices."""
        return self.x.dim() == 2


@dataclass(frozen=True)
class Result:
    """outputs (T, B, P); final states, (B, H) each; with `keep_gates`, every state and gate by name, (T, B, H) each.

    The output state has P columns everywhere, P = H unless it is projected.
    """

    outputs: Tensor
    states: tuple[Tensor, ...]
    sequences: dict[str, Tensor] = field(default_factory=dict)
    gates: dict[str, Tensor] = field(default_factory=dict)


def checked_indices(x: Tensor, D: int) -> Tensor:
    """Class indices x, integers of any shape; IndicesError unless all lie in 0..D-1."""
    if x.numel():
        low, high = map(int, torch.aminmax(x))
        if low < 0 or high >= D:
            raise IndicesError(
                f"class indices in `input` must be in 0..{D - 1} (input_size D = {D}), got {low}..{high}."
            )
    return x
