"""What a trained network remembers and where gradients vanish: measurements, each returned as named arrays."""

from tidegate.insight.connectivity import Connectivity, connectivity
from tidegate.insight.features import FEATURES
from tidegate.insight.gates import Gates, gates
from tidegate.insight.horizon import MemoryHorizon, memory_horizon
from tidegate.insight.initial import initial_model
from tidegate.insight.inspection import Inspection, inspect
from tidegate.insight.jacobian import Jacobians, jacobians
from tidegate.insight.lag import GradientLag, gradient_lag
from tidegate.insight.lyapunov import Lyapunov, lyapunov
from tidegate.insight.predictions import Predictions, predictions
from tidegate.insight.unit_results import Units
from tidegate.insight.units import units

__all__ = [
    "FEATURES",
    "Connectivity",
    "Gates",
    "GradientLag",
    "Inspection",
    "Jacobians",
    "Lyapunov",
    "MemoryHorizon",
    "Predictions",
    "Units",
    "connectivity",
    "gates",
    "gradient_lag",
    "initial_model",
    "inspect",
    "jacobians",
    "lyapunov",
    "memory_horizon",
    "predictions",
    "units",
]
