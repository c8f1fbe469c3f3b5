"""A layer some of whose gates are set to 0 or 1 at chosen steps, by inputs that are added to it."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import one_hot

import tidegate

STRENGTH = 60.0  # sigmoid(-60) is 9e-27, and 1 - sigmoid(60) is zero in float64


def impose(layer: tidegate.Recurrent, x: Tensor, gates: Mapping[str, Tensor]) -> tuple[tidegate.Recurrent, Tensor]:
    """A layer and its input (T, B, D + G) that compute the same as `layer` on x, with gates set at some steps.

    gates: for each gate by name, its values (T, B): 0 closed, 1 open, NaN as the equations compute it. Each of the G
    gates gets a feature of +1, -1 or 0, whose weight, 60, leads to this gate only. So the gate's value is
    sigmoid(a +- 60), where a is its pre-activation; it must be a sigmoid. x: (T, B) class indices, or (T, B, D).
    """
    D, H = layer.input_size, layer.hidden_size
    dtype = layer.weight_ih_l0.dtype
    features = x.to(dtype) if x.is_floating_point() else one_hot(x, D).to(dtype)
    signs = [torch.nan_to_num(2 * value - 1).to(dtype) for value in gates.values()]
    new = tidegate.Recurrent(layer.cell, D + len(gates), H, dtype=dtype)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            getattr(new, name)[..., : parameter.shape[-1]].copy_(parameter)
        new.weight_ih_l0[:, D:] = 0
        for k, gate in enumerate(gates):
            new.gate_parameters(gate)["weight_ih_l0"][:, D + k] = STRENGTH
    return new, torch.cat([features, torch.stack(signs, -1)], -1)


def where(mask: Tensor, value: float) -> Tensor:
    """The values of a gate that is set to `value` at the steps of the mask (T, B), and free at the others."""
    return torch.where(mask, value, torch.nan)
