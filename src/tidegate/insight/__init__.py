"""What a trained network remembers and where gradients vanish: measurements, each returned as named arrays."""

from tidegate.insight.connectivity import Connectivity, connectivity
from tidegate.insight.gates import Gates, gates
from tidegate.insight.horizon import MemoryHorizon, memory_horizon
from tidegate.insight.jacobian import Jacobians, jacobians
from tidegate.insight.lag import GradientLag, gradient_lag
from tidegate.insight.lyapunov import Lyapunov, lyapunov

__all__ = [
    "Connectivity",
    "Gates",
    "GradientLag",
    "Jacobians",
    "Lyapunov",
    "MemoryHorizon",
    "connectivity",
    "gates",
    "gradient_lag",
    "jacobians",
    "lyapunov",
    "memory_horizon",
]
