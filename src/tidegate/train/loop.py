"""The training loop: steps, the guard, evaluations and checkpoints."""

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cached_property, lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from tidegate.errors import DivergenceError
from tidegate.nn import why
from tidegate.text import Dataset, RandomSampling, Sequential
from tidegate.train.device import find_device
from tidegate.train.direct import Direct, Found, usable
from tidegate.train.evaluate import Score, evaluate, perplexity
from tidegate.train.facts import ModelFacts
from tidegate.train.guard import diverged, equations_remedy, sound, weights_sound
from tidegate.train.initial import initial_model
from tidegate.train.interrupt import Interrupt
from tidegate.train.log import Log
from tidegate.train.model import State, detach
from tidegate.train.position import WINDOW, Best, Position
from tidegate.train.recipe import Recipe
from tidegate.train.sample import sample
from tidegate.train.schedule import rate
from tidegate.train.status import Figures, Status
from tidegate.train.text_length import check_length
from tidegate.train.update import KernelUpdate, RecordedUpdate, gradient_norm, step_by_torch, update_on_kernels

EVALUATIONS = 12  # number of evaluations in a run without `eval_every`
TICK = 1.0  # seconds between two records of the log
COUNTED = 10_000  # epochs whose steps are counted exactly; a random offset can change the steps of an epoch by one
BEFORE_THE_END = math.nextafter(1.0, 0.0)  # progress of a run that exceeds its estimated number of steps
SAVE_EVERY = 30.0  # maximum seconds between two checkpoints; every evaluation saves one too
PROMPT = 20  # tokens of the held-out text that a sample continues
SAMPLE = 100  # tokens of the sample
READ = 1 << 16  # tokens of the batches that are read at once


class Stopped(Exception):  # noqa: N818 (not an error)
    """The run was stopped by `signal`. If `saved`, the last checkpoint in `folder` is that of its last step, otherwise
    that of an earlier step."""

    def __init__(self, signal: int, folder: Path, *, saved: bool) -> None:
        super().__init__(signal)
        self.signal, self.folder, self.saved = signal, folder, saved


def optimiser(recipe: Recipe, parameters: Sequence[nn.Parameter]) -> Optimizer:
    """The recipe's optimiser, with torch's fused update on the devices where it can scale gradients."""
    fused = parameters[0].device.type in ("cpu", "cuda")
    if recipe.optimizer == "sgd":
        return SGD(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay, fused=fused)
    return AdamW(parameters, lr=recipe.lr, betas=(0.9, 0.99), weight_decay=recipe.weight_decay, fused=fused)


def on_host(loss: Tensor, norm: Tensor) -> tuple[float, float]:
    """Both numbers, with one synchronisation with their device."""
    if loss.is_cpu:
        return loss.item(), norm.item()
    a, b = torch.stack((loss, norm)).tolist()
    return a, b


class Trainer:
    """The training of one run. `train` continues from `position` to the end of the recipe.

    `model`, `optimizer`, `state` and `position` are saved in a checkpoint (see `tidegate.train.snapshot`). Sequential
    batches carry the state from window to window of an epoch, detached between windows; random batches begin each
    window with the zero state. `facts` describes the model to build; `save` writes the checkpoint "last" or "best" of
    this trainer. torch's global generators are set to the recipe's seed; weights are drawn on the CPU, so that they are
    the same on every device.
    """

    def __init__(
        self,
        recipe: Recipe,
        dataset: Dataset,
        facts: ModelFacts,
        *,
        log: Log,
        status: Status,
        save: Callable[["Trainer", str], None],
    ) -> None:
        self.device = find_device(recipe.device)
        self.recipe, self.dataset, self.log, self.status, self._save = recipe, dataset, log, status, save
        self.model = initial_model(facts, len(dataset.vocabulary), recipe).to(self.device)
        self.parameters = list(self.model.parameters())
        self.optimizer = optimiser(recipe, self.parameters)
        kind = Sequential if recipe.sampling == "sequential" else RandomSampling
        check_length(recipe, dataset, kind)
        self.batches = kind(dataset.train.ids, recipe.batch, recipe.steps, recipe.seed)
        self.count = lru_cache(self.batches.count)  # batches in an epoch
        self.read: list[tuple[Tensor, Tensor]] = []  # batches of the epoch `read_epoch`, from `read_first` on
        self.read_epoch = self.read_first = 0
        self.state: State = None
        self.position = Position()
        self.saved_step = 0
        self.heldout: Score | None = None
        self.norms: deque[float] = deque(maxlen=WINDOW)
        self.recorded: RecordedUpdate | None = None
        self.rate = 0.0  # tokens per second since the last record

    @cached_property
    def engine(self) -> str:
        """The name of the engine that runs the model."""
        if self.recipe.engine != "auto":
            return self.recipe.engine
        return next(v.engine for v in why(self.model.recurrent, self.model.inputs(self.batch(0, 0)[0])) if v.chosen)

    @cached_property
    def direct(self) -> Direct | None:
        """Computes the gradients without torch's graph; None where that cannot be done."""
        return Direct(self.model) if usable(self.model, self.engine) else None

    @cached_property
    def total_steps(self) -> int | None:
        """The steps of the run; None where only minutes limit it. For more than COUNTED epochs it is an estimate."""
        epochs = self.recipe.epochs
        if epochs is None:
            return None
        counted = sum(self.count(epoch) for epoch in range(min(epochs, COUNTED)))
        return counted if epochs <= COUNTED else counted * epochs // COUNTED

    @property
    def progress(self) -> float:
        """The completed share of the run, from 0 to 1: of its steps or of its time, whichever is greater."""
        if self.recipe.epochs is not None and self.position.epoch >= self.recipe.epochs:
            return 1.0
        of_steps = min(self.position.step / self.total_steps, BEFORE_THE_END) if self.total_steps else 0.0
        of_time = self.position.seconds / (60 * self.recipe.minutes) if self.recipe.minutes else 0.0
        return min(1.0, max(of_steps, of_time))

    @property
    def epochs(self) -> float:
        """Passes over the training text so far."""
        return self.position.epoch + self.position.batch / self.count(self.position.epoch)

    def train(self, interrupt: Interrupt, after_step: Callable[["Trainer"], None] = lambda _: None) -> None:
        """Train to the end of the recipe, with evaluations, log records and checkpoints.

        `after_step` is called after each step. Raises DivergenceError when the guard stops the run, and Stopped, after
        saving, when `interrupt` received a signal.
        """
        self.model.train()
        position = self.position
        if position.step == 0:
            self.save("last")
        clock = ticked = saved = time.perf_counter()
        tokens, stepping = position.tokens, position.stepping
        while self.progress < 1:
            before = self.progress
            self.step()
            after_step(self)
            now = time.perf_counter()
            position.seconds, clock = position.seconds + now - clock, now
            if interrupt.received is not None:
                self.save("last")
                raise Stopped(interrupt.received, self.log.path.parent, saved=True)
            if now - ticked >= TICK or self.progress >= 1:
                self.rate = (position.tokens - tokens) / (position.stepping - stepping)
                ticked, tokens, stepping = now, position.tokens, position.stepping
                self.report()
            if self.due(before):
                self.evaluate()
                saved = time.perf_counter()
            elif now - saved >= SAVE_EVERY:
                self.save("last")
                saved = time.perf_counter()

    def save(self, which: str) -> None:
        """Write the checkpoint "last" or "best"; DivergenceError where a weight is not finite."""
        if not weights_sound(self.model):
            raise self.divergence(f"a weight is not finite after step {self.position.step:,}.")
        self._save(self, which)
        self.saved_step = self.position.step

    def divergence(self, what: str, remedy: str | None = None) -> DivergenceError:
        """The error that ends the run, with the last good checkpoint and what to try."""
        recipe, folder = self.recipe, self.log.path.parent
        usual = f"Try a lower --lr (it was {recipe.lr:g}) or a lower --clip (it was {recipe.clip:g})."
        return DivergenceError(
            f"{what} The weights of this step were not saved: the last good checkpoint, of step {self.saved_step:,}, "
            f"is in {folder}. {remedy or usual}"
        )

    def batch(self, epoch: int, k: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets (T, B) of batch k of an epoch, on the trainer's device."""
        if epoch != self.read_epoch or not 0 <= k - self.read_first < len(self.read):
            several = max(1, READ // (self.recipe.batch * self.recipe.steps))
            found = self.batches.several(epoch, k, min(several, max(1, self.count(epoch) - k)))
            self.read = [(x.to(self.device), y.to(self.device)) for x, y in found]
            self.read_epoch, self.read_first = epoch, k
        return self.read[k - self.read_first]

    def step(self) -> None:
        """One batch: forward, backward, guard, clip, update. The guard raises DivergenceError before a bad update."""
        begin = time.perf_counter()
        recipe, position = self.recipe, self.position
        x, y = self.batch(position.epoch, position.batch)
        if not self.batches.carries_state or position.batch == 0:
            self.state = None
        (nats, norm, state), kernels = self.set_gradients(x, y)
        lr = rate(recipe.schedule, recipe.lr, self.progress)
        if not sound(nats, norm):
            what = diverged(self.model, x, y, self.state, step=position.step + 1, loss=nats, norm=norm)
            raise self.divergence(what, equations_remedy(self.model, x, self.state) if position.step == 0 else None)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        if kernels is None:
            step_by_torch(self.optimizer, norm, recipe.clip)
        else:
            kernels.step(norm, recipe.clip)
        self.state = state
        self.advance(nats, norm, y.numel())
        position.stepping += time.perf_counter() - begin

    def set_gradients(self, x: Tensor, y: Tensor) -> tuple[Found, KernelUpdate | None]:
        """Set the gradients of every parameter; returns the loss, their norm and the new state, and the update with
        these gradients on our kernels, None where they cannot make it."""
        found = None if self.direct is None else self.direct.set_gradients(x, y, self.state)
        if self.direct is not None and found is not None:
            if self.recorded is None or not self.recorded.fits():
                self.recorded = RecordedUpdate.of(self.optimizer, self.direct.checked)
            if self.recorded is None:  # torch makes the update, so it computes the norm too
                return found._replace(norm=gradient_norm(self.parameters).item()), None
            return found, self.recorded.update
        loss, state = self.model.loss(x, y, self.state)
        for parameter in self.parameters:
            parameter.grad = None
        loss.backward()
        kernels = update_on_kernels(self.optimizer)
        norm = gradient_norm(self.parameters) if kernels is None else kernels.norm()
        return Found(*on_host(loss.detach(), norm), detach(state)), kernels

    def advance(self, nats: float, gradient_norm: float, tokens: int) -> None:
        """Update the position after a step."""
        position, count = self.position, self.count(self.position.epoch)
        position.step += 1
        position.batch += 1
        position.tokens += tokens
        position.losses.append(nats)
        self.norms.append(gradient_norm)
        while len(position.losses) > max(WINDOW, count):
            position.losses.popleft()
        if position.batch == count:
            position.epoch, position.batch = position.epoch + 1, 0

    def due(self, before: float) -> bool:
        """Whether to evaluate after the step that began at the progress `before`."""
        if self.progress >= 1:
            return True
        if self.recipe.eval_every is not None:
            return self.position.step % self.recipe.eval_every == 0
        return int(before * EVALUATIONS) != int(self.progress * EVALUATIONS)

    def evaluate(self) -> None:
        """Score the held-out text, generate a sample, record both, and save the checkpoints."""
        score = evaluate(self.model, self.dataset.heldout)
        if not math.isfinite(score.perplexity):
            raise self.divergence(f"the held-out perplexity after step {self.position.step:,} is not finite.")
        self.heldout = score
        position, best = self.position, self.position.best
        better = best is None or score.bpc < best.heldout_bpc
        if better:
            position.best = Best(position.step, self.epochs, score.perplexity, score.bpc)
            self.save("best")
        self.save("last")
        text = self.write()
        self.log.append({
            "kind": "evaluation", "step": position.step, "epochs": self.epochs, "heldout_ppl": score.perplexity,
            "heldout_bpc": score.bpc, "streams": score.streams, "best": better, "sample": text,
        })  # fmt: skip
        self.status.evaluation(self.figures(), better, text)

    def write(self) -> str:
        """A short continuation of the beginning of the held-out text, drawn with the same random numbers each time."""
        vocabulary = self.dataset.vocabulary
        prompt = self.dataset.heldout.ids[:PROMPT]
        generator = torch.Generator().manual_seed(self.recipe.seed)
        tokens = sample(self.model, prompt, SAMPLE, temperature=0.8, never=vocabulary.unknown, generator=generator)
        return vocabulary.decode(prompt) + "|" + vocabulary.decode(tokens)

    def figures(self) -> Figures:
        """The current figures of the run."""
        position, norms = self.position, list(self.norms)
        window = min(WINDOW, len(position.losses))
        nats = position.recent_loss(window)
        lefts = []
        if self.recipe.minutes is not None:
            lefts.append(60 * self.recipe.minutes - position.seconds)
        if self.total_steps is not None:
            lefts.append((self.total_steps - position.step) * position.seconds / max(1, position.step))
        return Figures(
            progress=self.progress,
            epochs=self.epochs,
            step=position.step,
            train_ppl=perplexity(nats),
            train_bpc=self.dataset.train.bpc(nats),
            window=window,
            heldout_ppl=self.heldout and self.heldout.perplexity,
            heldout_bpc=self.heldout and self.heldout.bpc,
            tokens_per_s=self.rate or position.tokens / position.stepping,
            gradient_norm=norms[-1],
            clipped=sum(norm > self.recipe.clip for norm in norms) / len(norms),
            lr=self.optimizer.param_groups[0]["lr"],
            seconds_left=max(0.0, min(lefts)),
        )

    def report(self) -> None:
        """Show the figures and append them to the log."""
        figures = self.figures()
        self.log.append({"kind": "train"} | asdict(figures))
        self.status.figures(figures)
