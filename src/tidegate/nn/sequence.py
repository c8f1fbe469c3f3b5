"""Input sequences, converted from the forms that a layer accepts to the form of the engines, and outputs, back."""

from __future__ import annotations

from collections.abc import Sequence as Numbers
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from tidegate.engines.call import checked_indices
from tidegate.engines.torch_private import in_functorch_transform, in_jit_trace, same_version
from tidegate.errors import ArgumentError, ArgumentTypeError, ShapeError

if TYPE_CHECKING:
    from tidegate.nn.layer import CellLayer

Lengths = Tensor | Numbers[int] | int


@dataclass(frozen=True)
class Sequence:
    """x (T, B, D), or (T, B) of class indices; lengths (B,); resets (T, B); and the form of the caller's input.

    `data` is x, or the data of a PackedSequence, which is padded each time that `x` is read, with its sequences in
    packed order, longest first; `sort` puts states in that order, `unsort` in the caller's.
    """

    data: Tensor
    lengths: Tensor | None
    resets: Tensor | None
    batched: bool = True
    batch_first: bool = False
    packed: PackedSequence | None = None

    @property
    def x(self) -> Tensor:
        if self.packed is None:
            return self.data
        return pad_packed_sequence(PackedSequence(self.data, self.packed.batch_sizes))[0]

    @property
    def B(self) -> int:
        if self.packed is None or not readable():
            return self.x.shape[1]
        return int(self.packed.batch_sizes[0])

    def restore(self, y: Tensor | PackedSequence) -> Tensor | PackedSequence:
        """Outputs (T, B, H), or the packed sequences of them, in the form of the input; `y` itself may be transposed in
        place."""
        data = y.data if isinstance(y, PackedSequence) else y
        if self.packed is not None:
            p, data = self.packed, data if isinstance(y, PackedSequence) else self.repack(data)
            return PackedSequence(data, p.batch_sizes, p.sorted_indices, p.unsorted_indices)
        if not self.batched:
            return data.squeeze(1)
        return batch_major(data) if self.batch_first else data

    def drop(self, y: Tensor, p: float) -> Tensor:
        """Dropout of a layer's outputs, with the mask that torch.nn draws from the same random state."""
        if self.packed is None or self.lengths is None:
            return F.dropout(y, p)
        data = F.dropout(self.repack(y), p)
        return pad_packed_sequence(PackedSequence(data, self.packed.batch_sizes))[0]

    def repack(self, y: Tensor) -> Tensor:
        """The packed data of y (T, B, H)."""
        T, B = y.shape[:2]
        lengths = torch.full((B,), T, device="cpu") if self.lengths is None else self.lengths
        return pack_padded_sequence(y, lengths.cpu()).data

    def sort(self, state: Tensor) -> Tensor:
        order = None if self.packed is None else self.packed.sorted_indices
        return state if order is None else state.index_select(1, order)

    def unsort(self, state: Tensor) -> Tensor:
        order = None if self.packed is None else self.packed.unsorted_indices
        return state if order is None else state.index_select(1, order)

    def resets_for(self, reverse: bool) -> Tensor | None:
        """The resets of one direction as an engine takes them, before step t.

        In reverse, the sequence that begins at t ends there, so the state is reset before step t-1.
        """
        if self.resets is None or not reverse:
            return self.resets
        begins = self.resets
        if self.lengths is not None:
            inside = torch.arange(len(begins), device=begins.device).unsqueeze(1) < self.lengths.to(begins.device)
            begins = begins & inside
        return torch.cat([begins[1:], torch.zeros_like(begins[:1])])


def batch_major(y: Tensor) -> Tensor:
    """(T, B, H) as (B, T, H), if possible not as a view, because a view cannot be detached in place.

    No element changes, so the version counter of `y`, by which an engine detects writes to its outputs, is kept.
    """
    if not readable():
        return y.transpose(0, 1)
    if not y.requires_grad:
        return y.transpose_(0, 1)
    with same_version(y):
        return y.transpose_(0, 1)


def as_sequence(
    layer: CellLayer,
    weight: Tensor,
    x: Tensor | PackedSequence,
    lengths: Lengths | None = None,
    resets: Tensor | None = None,
) -> Sequence:
    """The checked input of a layer whose first input matrix is `weight`; ShapeError or ArgumentError for a bad one."""
    if isinstance(x, PackedSequence):
        return unpack(type(layer).__name__, weight, x, lengths, resets)
    forms = BATCH_FIRST if layer.batch_first else TIME_FIRST
    check_features(type(layer).__name__, x, forms, weight)
    batched = x.dim() == (3 if x.is_floating_point() else 2)
    batch_first = layer.batch_first and batched
    x = x.transpose(0, 1) if batch_first else (x if batched else x.unsqueeze(1))
    T, B = x.shape[0], x.shape[1]
    if T == 0:
        raise ShapeError(f"{type(layer).__name__}: `input` must have at least one step, got T = 0 in {tuple(x.shape)}.")
    if lengths is not None:
        lengths = as_lengths(lengths, T, B, batched=batched)
    if resets is not None:
        resets = as_resets(resets, x, batched=batched)
    return Sequence(x, lengths, resets, batched, batch_first)


def unpack(name: str, weight: Tensor, packed: PackedSequence, lengths: object, resets: object) -> Sequence:
    for argument, given in (("lengths", lengths), ("resets", resets)):
        if given is not None:
            raise ArgumentError(
                f"`{argument}` cannot be combined with a PackedSequence, which has its own lengths, got both. "
                f"Leave `{argument}` out, or pass the padded tensor with `lengths`."
            )
    check_features(name, packed.data, PACKED, weight)
    sizes = packed.batch_sizes
    if readable() and bool(sizes[0] == sizes[-1]):
        return Sequence(packed.data, None, None, packed=packed)
    own = (sizes.unsqueeze(1) > torch.arange(sizes[0], device="cpu")).sum(0)  # type: ignore[call-overload]
    return Sequence(packed.data, own, None, packed=packed)


# Inputs by their number of dimensions: with batch_first, without it, and the data of a PackedSequence.
BATCH_FIRST = {3: "(B, T, D)", 2: "(T, D)"}
TIME_FIRST = {3: "(T, B, D)", 2: "(T, D)"}
PACKED = {2: "(sum of lengths, D)"}


def check_features(name: str, x: Tensor, forms: dict[int, str], weight: Tensor) -> None:
    """ShapeError or ArgumentError unless x has one of the `forms`, by number of dimensions, or the same without the D
    for class indices, and the dtype and device of `weight`."""
    D = weight.shape[1]
    if not isinstance(x, Tensor):
        raise ArgumentTypeError(
            f"{name}: `input` must be a tensor or a PackedSequence, got {type(x).__name__}. Use torch.as_tensor(input)."
        )
    if x.layout != torch.strided or x.is_complex():
        raise ArgumentError(
            f"{name}: `input` must be a dense tensor of real numbers, got {x.dtype} in the layout {x.layout}. "
            "Use input.to_dense(), or input.real and input.imag as features."
        )
    if not x.is_floating_point():
        if x.dtype not in (torch.int64, torch.int32) or x.dim() + 1 not in forms:
            shapes = " or ".join(
                form.replace("(T, D)", "(T,)").replace(", D)", ")").replace("(D,)", "()") for form in forms.values()
            )
            raise ShapeError(
                f"{name}: an integer `input` holds class indices, int64 or int32 of shape {shapes}, "
                f"got {x.dtype} of shape {tuple(x.shape)}. For features use input.float()."
            )
        if x.is_cpu and readable():  # elsewhere reading the values waits for the device
            checked_indices(x, D)
    elif x.dim() not in forms or x.shape[-1] != D:
        raise ShapeError(
            f"{name}: `input` must have shape {' or '.join(forms.values())} with D = input_size = {D}, "
            f"got {tuple(x.shape)}."
        )
    elif x.dtype != weight.dtype and not autocasts(weight):
        raise ArgumentError(
            f"{name}: `input` must be {weight.dtype} like the weights, got {x.dtype}. Use input.to({weight.dtype})."
        )
    if x.device != weight.device:
        raise ArgumentError(
            f"{name}: `input` must be on {weight.device} like the weights, got {x.device}. "
            f'Use input.to("{weight.device}").'
        )


def readable() -> bool:
    """Whether the values of tensors can be read: not in a compiled or traced program, nor in a torch.func transform."""
    return not (torch.compiler.is_compiling() or in_jit_trace() or in_functorch_transform())


def autocasts(weight: Tensor) -> bool:
    """Whether torch.autocast is on for the device of the weights."""
    device = "cpu" if weight.is_cpu else weight.device.type  # the first is faster
    return device != "meta" and torch.is_autocast_enabled(device)


def as_lengths(lengths: Lengths, T: int, B: int, *, batched: bool) -> Tensor:
    try:
        given = lengths if isinstance(lengths, Tensor) else torch.as_tensor(lengths, device="cpu")
    except (TypeError, ValueError, RuntimeError) as error:
        raise ArgumentTypeError(f"`lengths` must be {B} integers, a tensor or a list, got {lengths!r:.60}.") from error
    if given.is_floating_point() or given.is_complex() or given.dtype == torch.bool:
        raise ArgumentError(f"`lengths` must be integers, got {given.dtype}. Use lengths.long().")
    given = given if batched or given.dim() else given.reshape(1)
    if tuple(given.shape) != (B,):
        raise ShapeError(f"`lengths` must have shape (B,) = ({B},), one for each sequence, got {tuple(given.shape)}.")
    if B and not given.is_meta and readable():
        low, high = map(int, torch.aminmax(given))
        if low < 0 or high > T:
            raise ArgumentError(f"`lengths` must be in 0..T = 0..{T}, got {low}..{high}.")
    return given.long()


def as_resets(resets: Tensor, x: Tensor, *, batched: bool) -> Tensor:
    """The mask (B, T), or (T,) of unbatched input, as (T, B)."""
    T, B = x.shape[0], x.shape[1]
    if not isinstance(resets, Tensor) or resets.dtype != torch.bool:
        got = resets.dtype if isinstance(resets, Tensor) else type(resets).__name__
        remedy = "resets.bool()" if isinstance(resets, Tensor) else "torch.tensor(resets, dtype=torch.bool)"
        raise ArgumentError(f"`resets` must be a tensor of torch.bool, got {got}. Use {remedy}.")
    expected = (B, T) if batched else (T,)
    if tuple(resets.shape) != expected:
        letters = "(B, T)" if batched else "(T,)"
        remedy = " Use resets.T." if tuple(resets.shape) == expected[::-1] else ""
        raise ShapeError(f"`resets` must have shape {letters} = {expected}, got {tuple(resets.shape)}.{remedy}")
    if resets.device != x.device:
        raise ArgumentError(f'`resets` must be on {x.device} like x, got {resets.device}. Use resets.to("{x.device}").')
    return resets.T if batched else resets.unsqueeze(1)
