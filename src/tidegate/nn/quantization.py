"""A warning that torch.ao.quantization skips a layer."""

import warnings
from typing import Any

from torch import nn


class WarnsOfQuantization(nn.Module):
    """Base of layers and cells. torch.ao.quantization replaces modules by their exact class, and so leaves subclasses
    of torch.nn.GRU in floating point silently; it sets `qconfig` on every module that it visits."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "qconfig":
            warnings.warn(
                f"torch.ao.quantization does not quantize {type(self).__name__} of tidegate and leaves it in floating "
                "point. To quantize it, call tidegate.convert.restore_layers(model) first, which puts the layers of "
                "torch.nn back.",
                stacklevel=2,
            )
        super().__setattr__(name, value)
