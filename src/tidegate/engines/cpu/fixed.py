"""Tensors whose addresses are in arguments that are used again."""

from collections.abc import Sequence

from torch import Tensor

from tidegate.engines.cpu.boundary import address
from tidegate.engines.torch_private import same_form


class FixedTensors:
    """Tensors, and what they were when their addresses were taken. A caller may have given them other memory since:
    by `t.data = ...`, `t.set_`, or by resizing their storage."""

    def __init__(self, tensors: Sequence[Tensor]):
        self.tensors = tuple(tensors)
        self.at = [address(t) for t in tensors]
        self._same = same_form(tensors)
        self._storages = [t.untyped_storage() for t in tensors]
        self._sizes = [storage.nbytes() for storage in self._storages]

    def unchanged(self) -> bool:
        """Whether all of them have the form that they had, and their numbers are where they were."""
        return (
            [t.data_ptr() for t in self.tensors] == self.at
            and [storage.nbytes() for storage in self._storages] == self._sizes
            and self._same(*self.tensors)
        )
