"""The position of a run: what its next step depends on, beside the model, the optimiser and the carried state."""

from collections import deque
from dataclasses import dataclass, field

WINDOW = 100  # steps over which the status shows the train perplexity, the gradient norm and the clipped share


@dataclass(frozen=True)
class Best:
    """The evaluation with the lowest held-out loss so far, and where it was taken."""

    step: int
    epochs: float
    heldout_ppl: float
    heldout_bpc: float


@dataclass
class Position:
    """`epoch` passes and `batch` batches of the next one are done. `seconds` is the time of training with evaluations,
    `stepping` that of the steps alone. `losses` are the nats per token of the latest steps, an epoch at least."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    tokens: int = 0
    seconds: float = 0.0
    stepping: float = 0.0
    losses: deque[float] = field(default_factory=deque)
    best: Best | None = None

    def recent_loss(self, steps: int) -> float:
        """Mean nats per token of the last `steps` steps, or of as many as there are."""
        recent = list(self.losses)[-steps:]
        return sum(recent) / len(recent)
