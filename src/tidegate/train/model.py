"""The language model: a recurrent layer over one-hot tokens and a linear head."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from tidegate.calculus import Step, trace
from tidegate.cells import CELLS, Cell
from tidegate.errors import CheckpointError
from tidegate.nn import Recurrent, build_layer, find_cell, linear_cross_entropy

State = Any  # a tensor (layers, B, H), or a tuple of such tensors for a cell with several states


class LanguageModel(nn.Module):
    """Scores of the next token: y, state' = layer(one-hot x, state); scores = dropout(y) W^T + b.

    `cell` is a Cell class, a traced Step, or a name as on the command line ("gru", "mine.py:MyCell"); `vocabulary` (V)
    is the number of tokens, `hidden` (H) the number of units. `dropout` is applied to the outputs of each layer.

    A call takes token indices x, (T, B) integers in 0..V-1, and a state (None is zero); it returns the scores (T, B, V)
    before the softmax, and the new state. The product of a one-hot row with W_ih is a row of W_ih, so no one-hot
    tensor is made.

    Save a trained model with `tidegate.save(path, model, vocabulary)`.
    """

    def __init__(
        self,
        cell: str | type[Cell] | Step,
        vocabulary: int,
        hidden: int,
        *,
        layers: int = 1,
        engine: str = "auto",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.step = cell if isinstance(cell, Step) else trace(find_cell(cell) if isinstance(cell, str) else cell)
        name = cell_name(self.step)
        between = dropout if layers > 1 else 0.0
        if name is None:
            self.recurrent = Recurrent(self.step, vocabulary, hidden, layers, engine=engine, dropout=between)
        else:
            self.recurrent = build_layer(name, vocabulary, hidden, num_layers=layers, engine=engine, dropout=between)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, vocabulary)

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State]:
        y, state = self.recurrent(x, state)
        return self.head(self.dropout(y)), state

    def loss(self, x: Tensor, y: Tensor, state: State = None) -> tuple[Tensor, State]:
        """The mean cross-entropy of the targets y (T, B), in nats, and the new state; the same loss as that of the
        scores, without a tensor of them. Targets of -100 are ignored."""
        outputs, state = self.recurrent(x, state)
        outputs = self.dropout(outputs)
        if self.recurrent.engine not in ("auto", "cpu"):
            return cross_entropy(self.head(outputs), y), state
        return linear_cross_entropy(outputs, self.head.weight, self.head.bias, y), state

    def stream_modules(self) -> tuple[nn.Module, ...]:
        """The modules of a step, for tidegate.stream."""
        return self.recurrent, self.head


def cell_name(step: Step) -> str | None:
    """The name of a built-in cell with these equations; None where there is none."""
    return next((name for name, cell in CELLS.items() if trace(cell) is step), None)


def weight_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The weights by the names that they have in a checkpoint."""
    return {f"model.{name}": value for name, value in model.state_dict().items()}


def model_weights(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights among the tensors of a checkpoint, by their names in the model's state_dict."""
    return {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}


def load_weights(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Copy the weights into the model, which may be on any device.

    Raises CheckpointError, naming the parameter, where one does not fit the model or is not finite.
    """
    expected = model.state_dict()
    for name in sorted(expected.keys() | weights.keys()):
        want = tuple(expected[name].shape) if name in expected else "no such parameter"
        got = tuple(weights[name].shape) if name in weights else "none"
        if want != got:
            raise CheckpointError(f"the checkpoint is of another model: {name} must be {want}, got {got}.")
        if not weights[name].isfinite().all():
            raise CheckpointError(f"the checkpoint cannot be used: {name} has values that are NaN or infinite.")
    model.load_state_dict(weights)


def detach(state: State) -> State:
    """The same state without its graph, so that backpropagation stops at the beginning of the window."""
    if state is None:
        return None
    return state.detach() if isinstance(state, Tensor) else tuple(part.detach() for part in state)


def cross_entropy(scores: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
    """Cross-entropy of the tokens `y` (T, B) under `scores` (T, B, V), in nats; targets of -100 are ignored."""
    return functional.cross_entropy(scores.flatten(0, 1), y.flatten(), ignore_index=-100, reduction=reduction)
