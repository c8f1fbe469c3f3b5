"""What the figures of a run mean, in plain words."""

from dataclasses import dataclass

MEMORISED = 0.7  # a train bpc below this share of the held-out bpc is "far below"


@dataclass(frozen=True)
class Outcome:
    """Bits per character at the end of a run (train: over the last epoch), at its best, and of the baseline."""

    train_bpc: float
    heldout_bpc: float
    best_bpc: float
    best_epoch: float
    baseline_bpc: float
    baseline_order: int

    @property
    def memorised(self) -> bool:
        """True where the model knows its training text and not the language: train far below held-out, and held-out
        above what counting gives."""
        return self.heldout_bpc > self.baseline_bpc and self.train_bpc < MEMORISED * self.heldout_bpc

    @property
    def beats_baseline(self) -> bool:
        """True where the best checkpoint pays less for the held-out text than the n-gram counts do."""
        return self.best_bpc < self.baseline_bpc

    def words(self) -> str:
        """One to three sentences."""
        baseline = f"the order-{self.baseline_order} n-gram baseline ({self.baseline_bpc:.3f} bpc)"
        margin = abs(self.baseline_bpc - self.best_bpc)
        if self.beats_baseline:
            sentences = [f"Beats {baseline} by {margin:.3f}: best held-out {self.best_bpc:.3f} bpc."]
        else:
            sentences = [f"Does not beat {baseline}: best held-out {self.best_bpc:.3f} bpc, {margin:.3f} above it."]
        if self.memorised:
            sentences.append(
                f"At the end it has memorised its training text: train {self.train_bpc:.3f} bpc, held-out "
                f"{self.heldout_bpc:.3f}."
            )
            sentences.append(
                f"Its best was at epoch {self.best_epoch:.3g}; more text, or fewer epochs, would serve it better."
            )
        elif not self.beats_baseline:
            sentences.append("It has not memorised either: longer training or more units would help.")
        return " ".join(sentences)
