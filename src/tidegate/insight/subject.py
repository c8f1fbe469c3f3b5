"""The measured model, a float64 copy of a layer or a language model in evaluation mode, and its checked input."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tidegate.calculus import Step
from tidegate.errors import ArgumentError, ArgumentTypeError, ShapeError
from tidegate.insight.reading import encoded
from tidegate.nn.equations import step_of
from tidegate.nn.layer import CellLayer
from tidegate.text import Vocabulary
from tidegate.train.load import Trained
from tidegate.train.model import LanguageModel, folded

Model = CellLayer | LanguageModel | Trained
Data = Tensor | str | Sequence[int]


@dataclass(frozen=True)
class Subject:
    """A float64 copy of a layer in evaluation mode on the CPU, with the head if it is that of a language model.

    The model itself is not changed. `head` is None for a layer; `vocabulary` is None unless a Trained was given.
    `batch_first` is that of the model; the copy has False.
    """

    layer: CellLayer
    head: nn.Linear | None
    vocabulary: Vocabulary | None
    preprocess: str = "raw"
    batch_first: bool = False

    @property
    def tokens_are(self) -> str | None:
        """The kind of token of the vocabulary, "char", "byte" or "word"; None where there is no vocabulary."""
        return None if self.vocabulary is None else self.vocabulary.kind

    @property
    def step(self) -> Step:
        return step_of(self.layer)


def as_subject(model: Any, *, language_model: bool = False, one_direction: bool = True) -> Subject:
    """The Subject of a layer, a LanguageModel, or what `tidegate.load` returns.

    Raises ArgumentTypeError for another type, or for a layer where a `language_model` is needed, and ArgumentError for
    weights that are NaN or infinite, and for a bidirectional layer unless `one_direction` is False.
    """
    vocabulary, preprocess, head = None, "raw", None
    if isinstance(model, Trained):
        vocabulary, preprocess, model = model.vocabulary, model.facts.preprocess, model.model
    if isinstance(model, LanguageModel):
        model = on_indices(model)
        layer, head = model.recurrent, model.head
    elif isinstance(model, CellLayer):
        layer = model
    else:
        remedy = " Use tidegate.convert.from_torch(layer)." if isinstance(model, nn.RNNBase) else (
            " Pass the recurrent layer inside it." if isinstance(model, nn.Module) else ""
        )  # fmt: skip
        raise ArgumentTypeError(
            f"`model` must be a layer of Tidegate, a tidegate.LanguageModel or the result of tidegate.load, got "
            f"{type(model).__name__}.{remedy}"
        )
    if language_model and head is None:
        raise ArgumentTypeError(
            f"`model` must be a language model, because its loss is measured, got {type(layer).__name__}. Use a "
            "tidegate.LanguageModel, or tidegate.load(RUN)."
        )
    if layer.bidirectional and one_direction:
        raise ArgumentError(
            "`model` must not be bidirectional: its states depend on the past and the future, so no product of step "
            "Jacobians relates one state to a later one. Use `gates`, which accepts it, or a layer of one direction."
        )
    for name, weight in [*layer.named_parameters(), *(head.named_parameters() if head else ())]:
        if not weight.isfinite().all():
            raise ArgumentError(f"`model` cannot be measured: {name} has values that are NaN or infinite.")
    own = copy.deepcopy(layer).to("cpu", torch.float64).eval()
    own.engine, own.batch_first = "auto", False
    return Subject(
        own.requires_grad_(False), head and head.requires_grad_(False), vocabulary, preprocess, layer.batch_first
    )


def on_indices(model: LanguageModel) -> LanguageModel:
    """A float64 copy on the CPU. A table of token vectors is multiplied into the input weights, so that the first layer
    reads class indices."""
    if model.embedding is not None and not model.embedding.weight.isfinite().all():
        raise ArgumentError("`model` cannot be measured: embedding.weight has values that are NaN or infinite.")
    return folded(copy.deepcopy(model).to("cpu", torch.float64))


def as_input(subject: Subject, data: Any) -> Tensor:
    """The input (T, B) of class indices or (T, B, D) of features, from a text, indices (T,) or (T, B), or features
    (T, D) or (T, B, D); of a layer with batch_first, from (B, T) or (B, T, D).

    Raises ArgumentTypeError for a text if there is no vocabulary, ShapeError or ArgumentError for another shape or for
    values out of range.
    """
    if isinstance(data, str):
        if subject.vocabulary is None:
            raise ArgumentTypeError(
                "`data` must be a tensor: a text needs a vocabulary, which only the result of tidegate.load has."
            )
        _, data = encoded(subject.vocabulary, subject.preprocess, data)
    x = torch.as_tensor(data).detach().to("cpu")
    D = subject.layer.input_size
    if subject.batch_first and x.dim() == (3 if x.is_floating_point() else 2):
        x = x.transpose(0, 1)
    if not x.is_floating_point():
        if x.dim() not in (1, 2):
            raise ShapeError(f"`data` of class indices must have shape (T,) or (T, B), got {tuple(x.shape)}.")
        x = x.long() if x.dim() == 2 else x.long()[:, None]
        if x.numel() and (int(x.min()) < 0 or int(x.max()) >= D):
            raise ArgumentError(f"`data` must have class indices in 0..{D - 1}, got {int(x.min())}..{int(x.max())}.")
    else:
        if x.dim() not in (2, 3) or x.shape[-1] != D:
            raise ShapeError(f"`data` must have shape (T, D) or (T, B, D) with D = {D}, got {tuple(x.shape)}.")
        x = x.double() if x.dim() == 3 else x.double()[:, None]
        if not x.isfinite().all():
            raise ArgumentError("`data` has values that are NaN or infinite.")
    if not x.shape[0] or not x.shape[1]:
        raise ShapeError(f"`data` must have at least one step of one sequence, got {tuple(x.shape)}.")
    return x


def need_steps(x: Tensor, steps: int, what: str, smaller: str = "") -> None:
    """ShapeError unless x (T, ...) has at least that many steps. `what` names what they are needed for, `smaller` an
    argument that could be smaller."""
    if len(x) < steps:
        remedy = f" or a smaller `{smaller}`" if smaller else ""
        raise ShapeError(
            f"`data` must have at least {steps} steps for {what}, got {len(x)}. Use a longer sequence{remedy}."
        )


def check_seed(seed: object) -> None:
    """ArgumentError unless the seed is an integer of at least 0."""
    if not isinstance(seed, int) or seed < 0:
        raise ArgumentError(f"`seed` must be an integer of at least 0, got {seed!r}.")
