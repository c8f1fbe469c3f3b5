"""Break: whether a network discards the inputs before a break of the sequence."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tidegate.tasks.batch import Batch
from tidegate.tasks.parameters import check_choice, check_range
from tidegate.tasks.task import Task

MARKERS = ("input", "resets", "none")


@dataclass(frozen=True)
class Break(Task):
    """The sum of the inputs since the last break, at every step.

    A sequence of T = `length` steps has a break before each step t = 1..T-1 with probability p = 1 / `segment`:
    segments have `segment` steps on average. The values v_t are independent, normal, of mean 0 and variance 1. With s_t
    the first step of the segment of t,

        target_t = sqrt(p) (v_{s_t} + ... + v_t),

    whose variance is at most 1. `marker` says how the break is shown: "input", a second feature that is 1 at the first
    step of each segment and 0 elsewhere; "resets", by `Batch.resets`, with which layers set the state to zero; "none".

    Chance: an output of 0, with q = 1 - p:  mean of target^2 = 1 - q (1 - q^T) / (T (1 - q)).
    Best: 0 where the break is shown. With "none" the expected target is the leaky sum
    sqrt(p) sum_j q^j v_{t-j}, because v_{t-j} belongs to the segment of t with probability q^j, and its error is

        best = p mean_{t < T} sum_{j = 0..t} (q^j - q^{2j}),    without the term j = 0, which is 0.

    Metric: mean squared error. Solved: at most 5 % of chance above the best.
    Source: the use of the reset gate in A. Zhang, Z. Lipton, M. Li, A. Smola, Dive into Deep Learning (2021), on
    gated recurrent units (a logical break between parts of a sequence); this task is a new formulation of it.
    """

    length: int = 40
    segment: float = 10.0
    marker: str = "input"

    name = "break"
    source = "after Zhang, Lipton, Li, Smola (2021)"
    metric = "mse"
    higher_is_better = False
    indexed = False
    of_classes = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, "length", 2)
        check_range(self, "segment", 1)
        check_choice(self, "marker", MARKERS)

    @property
    def input_size(self) -> int:
        return 2 if self.marker == "input" else 1

    @property
    def output_size(self) -> int:
        return 1

    @property
    def chance(self) -> float:
        p = 1 / self.segment
        return p * sum(sum((1 - p) ** j for j in range(t + 1)) for t in range(self.length)) / self.length

    @property
    def best(self) -> float:
        if self.marker != "none":
            return 0.0
        p = 1 / self.segment
        errors = ((1 - p) ** j - (1 - p) ** (2 * j) for j in range(self.length))
        return p * sum(e * (self.length - j) for j, e in enumerate(errors)) / self.length

    @property
    def solved(self) -> float:
        return self.best + 0.05 * self.chance

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        v = torch.randn(self.length, size, generator=generator)
        begins = torch.rand(self.length, size, generator=generator) < 1 / self.segment
        begins[0] = True
        sums, total = [], torch.zeros(size)
        for t in range(self.length):
            total = torch.where(begins[t], v[t], total + v[t])
            sums.append(total)
        x = torch.stack([v, begins.to(v.dtype)], -1) if self.marker == "input" else v[..., None]
        resets = begins.T.contiguous() if self.marker == "resets" else None
        return Batch(x, self._scale * torch.stack(sums)[..., None], resets)

    def figures(self, outputs: Tensor, batch: Batch) -> Mapping[str, float]:
        """ "leak": the share of the previous segment's sum that is still in the outputs,

            leak = sum e_t s_t / sum s_t^2,

        with e_t the error output_t - target_t and s_t the last target of the segment before that of t, summed over the
        steps that have one. It is 0 if the sum restarts at every break and 1 if it never restarts. Left out if no
        sequence of the batch has a break."""
        self.check_outputs(outputs, batch)
        target, outputs = batch.target[..., 0].double(), outputs.detach()[..., 0].double()
        # The first target of a segment is its value alone, computed by the same operations.
        begins = batch.target[..., 0] == self._scale * batch.x[..., 0]
        previous, rows = torch.zeros_like(target[0]), []
        for t in range(self.length):
            if t:
                previous = torch.where(begins[t], target[t - 1], previous)
            rows.append(previous)
        before = torch.stack(rows)
        weight = float(before.square().sum())
        return {"leak": float(((outputs - target) * before).sum()) / weight} if weight else {}

    @property
    def _scale(self) -> float:
        return self.segment**-0.5
