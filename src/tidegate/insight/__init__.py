"""What a trained network remembers and where gradients vanish: measurements, each returned as named arrays."""

from tidegate.insight.gates import Gates, gates
from tidegate.insight.gradients.connectivity import Connectivity, connectivity
from tidegate.insight.gradients.jacobian import Jacobians, jacobians
from tidegate.insight.gradients.lag import GradientLag, gradient_lag
from tidegate.insight.gradients.lyapunov import Lyapunov, lyapunov
from tidegate.insight.initial import initial_model
from tidegate.insight.inspection import Inspection, inspect
from tidegate.insight.memory.horizon import MemoryHorizon, memory_horizon
from tidegate.insight.predictions import Predictions, predictions
from tidegate.insight.tracking.features import FEATURES
from tidegate.insight.tracking.results import Units
from tidegate.insight.tracking.units import units

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
