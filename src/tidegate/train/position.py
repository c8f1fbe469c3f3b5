"""The position of a run: what its next step depends on, besides the model, the optimiser and the carried state."""

from collections import deque
from dataclasses import dataclass, field

WINDOW = 100  # number of latest steps over which the status shows the train perplexity and the clipped share


@dataclass(frozen=True)
class Best:
    """The evaluation with the lowest held-out loss so far, and its step."""

    step: int
    epochs: float
    heldout_ppl: float
    heldout_bpc: float


@dataclass
class Position:
    """`epoch` epochs, and `batch` batches of the next epoch, are complete. `seconds` is the time of training including
    evaluations, `stepping` that of the steps alone. `losses` has the nats per token of the latest steps: those of one
    epoch, or of WINDOW steps if an epoch has fewer."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    tokens: int = 0
    seconds: float = 0.0
    stepping: float = 0.0
    losses: deque[float] = field(default_factory=deque)
    best: Best | None = None

    def recent_loss(self, steps: int) -> float:
        """Mean nats per token of the last `steps` steps, or of all steps where there are fewer."""
        recent = list(self.losses)[-steps:]
        return sum(recent) / len(recent)
