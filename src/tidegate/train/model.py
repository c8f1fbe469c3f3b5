"""The language model: a recurrent layer over one-hot tokens and a linear head."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from tidegate.nn import build_layer

State = Any  # a tensor (layers, B, H), or a tuple of such tensors for a cell with several states


class LanguageModel(nn.Module):
    """Scores of the next token: y, state' = layer(one-hot x, state); scores = dropout(y) W^T + b.

    `x` holds token numbers, (T, B) integers: the product of a one-hot row with W_ih is a row lookup, so no one-hot
    tensor is made. `scores` is (T, B, V) before the softmax, V the size of the vocabulary. `state` None is zero.
    """

    def __init__(
        self, cell: str, vocabulary: int, hidden: int, *, layers: int = 1, engine: str = "auto", dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.recurrent = build_layer(
            cell, vocabulary, hidden, num_layers=layers, engine=engine, dropout=dropout if layers > 1 else 0.0
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, vocabulary)

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State]:
        y, state = self.recurrent(x, state)
        return self.head(self.dropout(y)), state


def detach(state: State) -> State:
    """The same state, cut from the graph: the gradient ends at the edge of a window."""
    if state is None:
        return None
    return state.detach() if isinstance(state, Tensor) else tuple(part.detach() for part in state)


def cross_entropy(scores: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
    """Cross-entropy of the tokens `y` (T, B) under `scores` (T, B, V), in nats; targets of -100 do not count."""
    return functional.cross_entropy(scores.flatten(0, 1), y.flatten(), ignore_index=-100, reduction=reduction)
