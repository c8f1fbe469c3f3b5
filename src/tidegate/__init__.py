"""Tidegate: gated recurrent networks on PyTorch, from equations written once."""

from tidegate.errors import (
    ArgumentError,
    CheckpointError,
    DataError,
    DivergenceError,
    EngineError,
    EquationError,
    ShapeError,
    TidegateError,
)

__version__ = "0.1.0"

__all__ = [
    "ArgumentError",
    "CheckpointError",
    "DataError",
    "DivergenceError",
    "EngineError",
    "EquationError",
    "ShapeError",
    "TidegateError",
]
