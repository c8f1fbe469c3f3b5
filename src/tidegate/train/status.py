"""The status of a run on the screen: a live line in a terminal, plain lines elsewhere, a sample at each evaluation."""

import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tidegate.train.live import LiveOutput

BAR = 24  # width of the progress bar in characters
PLAIN = 10.0  # seconds between two lines where the output is not a terminal


@dataclass(frozen=True)
class Figures:
    """The status of a run. `train_ppl`, `train_bpc` and `clipped` are over the last `window` steps, and
    `gradient_norm` is that of the last step."""

    progress: float
    epochs: float
    step: int
    train_ppl: float
    train_bpc: float
    window: int
    heldout_ppl: float | None
    heldout_bpc: float | None
    tokens_per_s: float
    gradient_norm: float
    clipped: float
    lr: float
    seconds_left: float

    def learned(self) -> str:
        """The progress of the run and its losses."""
        heldout = ""
        if self.heldout_ppl is not None:
            heldout = f"  held-out ppl {self.heldout_ppl:.3f} bpc {self.heldout_bpc:.3f}"
        return (
            f"epoch {self.epochs:.2f}  step {self.step:,}  train ppl {self.train_ppl:.3f} (last {self.window} steps)"
            f"{heldout}"
        )

    def pace(self, token: str) -> str:
        """Speed, gradient norm, learning rate and time left; `token` is the kind of token."""
        return (
            f"{self.tokens_per_s:,.0f} {token}/s  grad {self.gradient_norm:.2f}  clipped {self.clipped:.0%}  "
            f"lr {self.lr:.2g}  {clock(self.seconds_left)} left"
        )


def clock(seconds: float) -> str:
    """m:ss, or h:mm:ss for an hour or more."""
    whole = round(seconds)
    minutes, hours = whole // 60, whole // 3600
    return f"{hours}:{minutes % 60:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


class Status(LiveOutput):
    """Shows a run on `console`. `token` is the kind of token ("char", "byte", "word")."""

    def __init__(self, console: Console, token: str) -> None:
        super().__init__(console)
        self.token = token
        self.shown = time.monotonic()

    def begin(self, headline: str, folder: Path) -> None:
        """Print the description of the run and the path of its folder."""
        self.say(headline)
        self.say(f"Writing to {folder}. Ctrl-C stops and saves.")

    def figures(self, figures: Figures) -> None:
        """Show the current figures: in a terminal they replace the live line, elsewhere they are a new line."""
        if self.live is None:
            now = time.monotonic()
            if now - self.shown >= PLAIN:
                self.say(f"{figures.learned()}  {figures.pace(self.token)}")
                self.shown = now
            return
        full = round(BAR * figures.progress)
        bar = Text("━" * full, "cyan") + Text("━" * (BAR - full), "bright_black") + f" {figures.progress:.0%} "
        self.live.update(bar + Text(figures.pace(self.token) + "\n" + figures.learned()))

    def evaluation(self, figures: Figures, best: bool, sample: str) -> None:
        """Print the figures of an evaluation, "best" where they are the best so far, and the sample."""
        self.shown = time.monotonic()
        line = Text(figures.learned() if self.live else f"{figures.learned()}  {figures.pace(self.token)}")
        if best:
            line.append("  best", "bold green")
        self.say(line)
        self.say(Text("    " + visible(sample), "italic bright_black"))


def visible(text: str) -> str:
    """The text on one line: line ends as ⏎, other control characters as symbols or �.

    The zero-width joiner is kept, since it joins the parts of an emoji.
    """
    return "".join(c if c.isprintable() or c == "\u200d" else picture(c) for c in text)


def picture(control: str) -> str:
    """The symbol that is printed for a control character."""
    if control == "\n":
        return "⏎"
    return chr(0x2400 + ord(control)) if ord(control) < 0x20 else "�"
