"""All layers and directions of a recurrent layer as one call, for engines that run them together."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from tidegate.calculus import Step
from tidegate.engines.call import Weights


@dataclass(frozen=True)
class Stack:
    """A sequence through every layer in every direction; letters and arrays as in Call.

    x: (T, B, D), or class indices (T, B), or a PackedSequence of either, whose sequences keep its order, longest first.
    states: the initial states, (layers * directions, B, H) each; the first (layers * directions, B, P).
    weights: those of each layer and direction, in the order of the states: layer by layer, forward direction first.
    directions: 1, or 2, where the second runs from the last step to the first.
    dropout: the probability with which an output of every layer but the last is set to zero, in training only.
    lengths: (B,), as in Call; None with a PackedSequence.
    """

    step: Step
    x: Tensor | PackedSequence
    states: tuple[Tensor, ...]
    weights: tuple[Weights, ...]
    directions: int = 1
    dropout: float = 0.0
    training: bool = False
    lengths: Tensor | None = None


@dataclass(frozen=True)
class StackResult:
    """outputs (T, B, P * directions) of the last layer, or the PackedSequence of them; final states as in Stack."""

    outputs: Tensor | PackedSequence
    states: tuple[Tensor, ...]
