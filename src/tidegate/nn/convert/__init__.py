"""Layers from and to the parameters of other libraries, and one GRU to the other where both are the same function."""

from tidegate.nn.convert.gru import to_reset_after, to_reset_before
from tidegate.nn.convert.keras import from_keras, to_keras
from tidegate.nn.convert.onnx import OnnxNode, from_onnx, to_onnx
from tidegate.nn.convert.replace import Replacement, Replacements, replace_layers, replacements, restore_layers
from tidegate.nn.convert.textbook import from_textbook, to_textbook
from tidegate.nn.convert.torch import from_torch, to_torch

__all__ = [
    "OnnxNode",
    "Replacement",
    "Replacements",
    "from_keras",
    "from_onnx",
    "from_textbook",
    "from_torch",
    "replace_layers",
    "replacements",
    "restore_layers",
    "to_keras",
    "to_onnx",
    "to_reset_after",
    "to_reset_before",
    "to_textbook",
    "to_torch",
]
