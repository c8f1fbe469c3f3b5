"""The language model: a recurrent layer over one-hot tokens or token vectors, and a linear head."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrize import is_parametrized

from tidegate.calculus import Step, trace
from tidegate.cells import CELLS, Cell
from tidegate.engines.call import checked_indices
from tidegate.errors import ArgumentError, ArgumentTypeError, CheckpointError, ShapeError
from tidegate.nn import Recurrent, build_layer, find_cell, linear_cross_entropy
from tidegate.nn.sequence import readable

UNIFORM = 0.1  # bound of the new token vectors, and of the new output weights behind them

State = Any  # a tensor (layers, B, H), or a tuple of such tensors for a cell with several states


class LanguageModel(nn.Module):
    """Scores of the next token: y, state' = layer(one-hot x, state); scores = dropout(y) W^T + b.

    `cell` is a Cell class, a traced Step, or a name as on the command line ("gru", "mine.py:MyCell"); `vocabulary` (V)
    is the number of tokens, `hidden` (H) the number of units. `dropout` is applied to the outputs of each layer.

    With an `embedding` (E) the first layer reads vectors instead of one-hot rows, row x of a learned table of shape
    (V, E): y, state' = layer(dropout(table[x]), state). With `tie` the table is also the matrix W of the scores, so E
    must be H, its default: one parameter, `embedding.weight`, with the sum of both gradients. New vectors and, not
    tied, new weights W are uniform in [-0.1, 0.1], and b is zero. Sources: Press and Wolf, arXiv:1608.05859 (2017);
    Inan, Khosravi and Socher, arXiv:1611.01462 (2017); dropout and initial weights as in the word language model of
    pytorch/examples.

    A call takes token indices x, (T, B) integers in 0..V-1, and a state (None is zero); it returns the scores (T, B, V)
    before the softmax, and the new state. The product of a one-hot row with W_ih is a row of W_ih, so no one-hot
    tensor is made. Raises ArgumentError for an `embedding` that is not at least 1, or that cannot be tied; ShapeError,
    ArgumentTypeError and IndicesError where x does not hold token indices.

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
        embedding: int | None = None,
        tie: bool = False,
    ) -> None:
        super().__init__()
        size = checked_embedding(embedding, hidden, tie=tie)
        self.embedding = None if size is None else nn.Embedding(vocabulary, size)
        self.step = cell if isinstance(cell, Step) else trace(find_cell(cell) if isinstance(cell, str) else cell)
        name = cell_name(self.step)
        inputs, between = size or vocabulary, dropout if layers > 1 else 0.0
        if name is None:
            self.recurrent = Recurrent(self.step, inputs, hidden, layers, engine=engine, dropout=between)
        else:
            self.recurrent = build_layer(name, inputs, hidden, num_layers=layers, engine=engine, dropout=between)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, vocabulary)
        if self.embedding is not None:
            nn.init.uniform_(self.embedding.weight, -UNIFORM, UNIFORM)
            nn.init.uniform_(self.head.weight, -UNIFORM, UNIFORM)
            nn.init.zeros_(self.head.bias)
            if tie:
                self.head.weight = self.embedding.weight

    @property
    def tied(self) -> bool:
        """Whether the token vectors are the weights of the output layer."""
        return self.embedding is not None and self.head.weight is self.embedding.weight

    def inputs(self, x: Tensor) -> Tensor:
        """What the first layer reads: token vectors (T, B, E), without dropout, or the indices x themselves."""
        if self.embedding is None:
            return x
        if not isinstance(x, Tensor):
            raise ArgumentTypeError(f"`x` must be a tensor of token indices, got {type(x).__name__}.")
        if x.dtype not in (torch.int64, torch.int32):
            raise ShapeError(f"`x` must hold token indices, int64 or int32 of shape (T, B), got {x.dtype} of shape "
                             f"{tuple(x.shape)}. The model looks up the vectors itself.")  # fmt: skip
        if x.is_cpu and readable():  # elsewhere reading the values waits for the device
            checked_indices(x, self.embedding.num_embeddings)
        return self.embedding(x)

    def outputs(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """The outputs of the last layer (T, B, H), with dropout, and the new state."""
        vectors = self.inputs(x)
        y, state = self.recurrent(vectors if self.embedding is None else self.dropout(vectors), state)
        return self.dropout(y), state

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State]:
        y, state = self.outputs(x, state)
        return self.head(y), state

    def loss(self, x: Tensor, y: Tensor, state: State = None) -> tuple[Tensor, State]:
        """The mean cross-entropy of the targets y (T, B), in nats, and the new state; the same loss as that of the
        scores, without a tensor of them. Targets of -100 are ignored."""
        outputs, state = self.outputs(x, state)
        if self.recurrent.engine not in ("auto", "cpu"):
            return cross_entropy(self.head(outputs), y), state
        return linear_cross_entropy(outputs, self.head.weight, self.head.bias, y), state

    def stream_modules(self) -> tuple[nn.Module, ...]:
        """The modules of a step, for tidegate.stream, which gives them class indices."""
        model = folded(self)
        return model.recurrent, model.head


def checked_embedding(embedding: int | None, hidden: int, *, tie: bool) -> int | None:
    """The size of the token vectors, None for none; ArgumentError for one that is not valid."""
    size = hidden if tie and embedding is None else embedding
    if size is not None and (not isinstance(size, int) or size < 1):
        raise ArgumentError(f"`embedding` must be None or an integer of at least 1, got {size!r}.")
    if tie and size != hidden:
        raise ArgumentError(
            f"`embedding` must be `hidden` = {hidden} with tie=True, because one table is used on both sides, got "
            f"{size}. Leave it out, or use tie=False."
        )
    return size


@torch.no_grad()
def folded(model: LanguageModel) -> LanguageModel:
    """A model of the same function in evaluation mode whose first layer reads class indices: W_ih' = W_ih table^T has a
    column for each token. It is `model` itself where it has no table, else a copy; scores differ by rounding.
    ArgumentError where the input weights are parametrized."""
    if model.embedding is None:
        return model
    if is_parametrized(model.recurrent, "weight_ih_l0"):
        raise ArgumentError(
            "`model` must have plain input weights to be read on class indices, got a parametrized weight_ih_l0. Use "
            'torch.nn.utils.parametrize.remove_parametrizations(model.recurrent, "weight_ih_l0").'
        )
    found, table = copy.deepcopy(model), model.embedding.weight
    del found.embedding
    found.embedding = None
    first: Any = found.recurrent
    first.weight_ih_l0 = nn.Parameter(first.weight_ih_l0 @ table.T)
    first.input_size = len(table)
    return found


def cell_name(step: Step) -> str | None:
    """The name of a built-in cell with these equations; None where there is none."""
    return next((name for name, cell in CELLS.items() if trace(cell) is step), None)


def weight_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The weights by the names that they have in a checkpoint."""
    return {f"model.{name}": value for name, value in own_weights(model).items()}


def own_weights(model: nn.Module) -> dict[str, Tensor]:
    """The state_dict, with one name for a tensor that has several: tied, `embedding.weight`."""
    own = {name for name, _ in (*model.named_parameters(), *model.named_buffers())}
    return {name: value for name, value in model.state_dict().items() if name in own}


def model_weights(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights among the tensors of a checkpoint, by their names in the model's state_dict."""
    return {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}


def load_weights(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Copy the weights into the model, which may be on any device.

    Raises CheckpointError, naming the parameter, where one does not fit the model or is not finite.
    """
    expected = own_weights(model)
    for name in sorted(expected.keys() | weights.keys()):
        want = tuple(expected[name].shape) if name in expected else "no such parameter"
        got = tuple(weights[name].shape) if name in weights else "none"
        if want != got:
            raise CheckpointError(f"the checkpoint is of another model: {name} must be {want}, got {got}.")
        if not weights[name].isfinite().all():
            raise CheckpointError(f"the checkpoint cannot be used: {name} has values that are NaN or infinite.")
    model.load_state_dict(weights, strict=False)  # the names were compared; a tied weight has two in the model


def detach(state: State) -> State:
    """The same state without its graph, so that backpropagation stops at the beginning of the window."""
    if state is None:
        return None
    return state.detach() if isinstance(state, Tensor) else tuple(part.detach() for part in state)


def cross_entropy(scores: Tensor, y: Tensor, reduction: str = "mean") -> Tensor:
    """Cross-entropy of the tokens `y` (T, B) under `scores` (T, B, V), in nats; targets of -100 are ignored."""
    return functional.cross_entropy(scores.flatten(0, 1), y.flatten(), ignore_index=-100, reduction=reduction)
