"""The verdict on a run, in words: whether it beats the n-gram baseline, and whether it overfitted."""

import math
from dataclasses import dataclass

MEMORISED = 0.7  # a training bpc below this share of the held-out bpc is far below it
OVERFITTED = 0.01  # a rise of the held-out bpc by at most this share of its best is noise


@dataclass(frozen=True)
class Outcome:
    """Bits per character of a run. `train_bpc` is over the last epoch and `heldout_bpc` at the end, after `epochs`
    epochs; `best_bpc` is the lowest on the held-out text, at epoch `best_epoch`; the baseline is on the same text.
    `dropout` is the run's."""

    train_bpc: float
    heldout_bpc: float
    epochs: float
    best_bpc: float
    best_epoch: float
    baseline_bpc: float
    baseline_order: int
    dropout: float

    @property
    def beats_baseline(self) -> bool:
        """True where the best checkpoint has a lower held-out bpc than the n-gram baseline."""
        return self.best_bpc < self.baseline_bpc

    @property
    def overfitted(self) -> bool:
        """True where the held-out bpc at the end is above its best by more than noise, and above the training bpc."""
        return self.train_bpc < self.heldout_bpc and self.gap > OVERFITTED * self.best_bpc

    @property
    def memorised(self) -> bool:
        """True where the training bpc is far below the held-out bpc, and the held-out bpc is above the baseline."""
        return self.heldout_bpc > self.baseline_bpc and self.train_bpc < MEMORISED * self.heldout_bpc

    @property
    def gap(self) -> float:
        """The held-out bpc at the end minus its best."""
        return self.heldout_bpc - self.best_bpc

    def words(self) -> str:
        """Two to four sentences: the comparison with the baseline, overfitting with its figures, and what to try."""
        return " ".join(
            [self.compared(), *(self.overfitting() if self.overfitted or self.memorised else self.fitting())]
        )

    def compared(self) -> str:
        baseline = f"the order-{self.baseline_order} n-gram baseline ({self.baseline_bpc:.3f} bpc)"
        margin = abs(self.baseline_bpc - self.best_bpc)
        if self.beats_baseline:
            return f"Beats {baseline} by {margin:.3f}: best held-out {self.best_bpc:.3f} bpc."
        return f"Does not beat {baseline}: best held-out {self.best_bpc:.3f} bpc, {margin:.3f} above it."

    def overfitting(self) -> list[str]:
        found = []
        if self.overfitted:
            found.append(
                f"It overfitted: the held-out text was best at epoch {self.best_epoch:.3g} with {self.best_bpc:.3f} "
                f"bpc and ended at epoch {self.epochs:.3g} with {self.heldout_bpc:.3f}, {self.gap:.3f} worse, while "
                f"the training text fell to {self.train_bpc:.3f}."
            )
        if self.memorised:
            found.append(
                f"It has memorised its training text: {self.train_bpc:.3f} bpc there, {self.heldout_bpc:.3f} held out."
            )
        fewer = [f"--epochs {math.ceil(self.best_epoch)}"] if math.ceil(self.best_epoch) < self.epochs else []
        more = [f"--dropout {min(0.5, self.dropout + 0.2):.1f} (it was {self.dropout:g})"] if self.dropout < 0.5 else []
        kept = "best.safetensors holds the best weights. " if self.overfitted else ""
        return [*found, f"{kept}Try {', '.join([*fewer, *more, 'fewer --hidden units'])}, or more text."]

    def fitting(self) -> list[str]:
        if not self.beats_baseline:
            return ["It has not overfitted: try more --epochs, more --hidden units, or another --lr."]
        if self.gap > 0:
            return ["It has not overfitted."]
        return ["It has not overfitted: the held-out text was at its best at the end, so a longer run may lower it."]
