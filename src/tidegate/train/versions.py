"""The versions that the numbers of a run depend on."""

import platform

import numpy
import torch

import tidegate


def versions() -> dict[str, str]:
    """Tidegate, torch, NumPy, Python, and the kind of processor."""
    return {
        "tidegate": tidegate.__version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
