"""The training step of a word model: class indices, token vectors, tied, and nn.Embedding in front of torch.nn.LSTM."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

import tidegate
from benchmarks.pairs import Pair, alternate
from tidegate.train.direct import Direct, usable
from tidegate.train.model import LanguageModel

V, H, B, T = 10_000, 200, 32, 35
MAX_NORM = 1.0


class OfTorch(nn.Module):
    """The functions of torch for a model with token vectors of its own size, with its weights."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        V, H = model.head.weight.shape
        self.embedding, self.layer, self.head = nn.Embedding(V, H), nn.LSTM(H, H), nn.Linear(H, V)
        self.layer.load_state_dict(model.recurrent.state_dict())
        assert model.embedding is not None
        self.embedding.load_state_dict(model.embedding.state_dict())
        self.head.load_state_dict(model.head.state_dict())

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        scores = self.head(self.layer(self.embedding(x))[0])
        return functional.cross_entropy(scores.flatten(0, 1), y.flatten())


def words(V: int, B: int, T: int) -> tuple[Tensor, Tensor]:
    """Inputs and targets (T, B), drawn with frequencies 1 / rank as those of words."""
    drawn = torch.multinomial(1 / torch.arange(1, V + 1, dtype=torch.float64), (T + 1) * B, replacement=True)
    drawn = drawn.view(T + 1, B)
    return drawn[:-1].contiguous(), drawn[1:].contiguous()


def step_of(model: LanguageModel, x: Tensor, y: Tensor) -> Callable[[], float]:
    """A step of the loop of `tidegate train`, with AdamW; returns the loss."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    direct = Direct(model) if usable(model, "cpu") else None

    def step() -> float:
        found = None if direct is None else direct.set_gradients(x, y, None)
        if found is None:
            loss, _ = model.loss(x, y)
            optimizer.zero_grad()
            loss.backward()
            nats = loss.item()
        else:
            nats = found.loss
        tidegate.clip_and_step(optimizer, MAX_NORM)
        return nats

    return step


def step_of_torch(model: OfTorch, x: Tensor, y: Tensor) -> Callable[[], float]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def step() -> float:
        loss = model.loss(x, y)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
        optimizer.step()
        return loss.item()

    return step


def steps(V: int, H: int, B: int, T: int) -> dict[str, Callable[[], float]]:
    """A step of each model on one batch. The models with the same weights must have the same losses for three steps."""
    torch.manual_seed(0)
    x, y = words(V, B, T)
    free = LanguageModel("lstm", V, H, embedding=H)
    found = {
        "class indices": step_of(LanguageModel("lstm", V, H), x, y),
        "nn.Embedding + nn.LSTM": step_of_torch(OfTorch(free), x, y),
        "token vectors": step_of(free, x, y),
        "tied": step_of(LanguageModel("lstm", V, H, tie=True), x, y),
    }
    for _ in range(3):
        ours, theirs = found["token vectors"](), found["nn.Embedding + nn.LSTM"]()
        assert abs(ours - theirs) < 1e-4 * theirs, f"the losses differ: {ours}, torch {theirs}"
    return found


def run(grid: str) -> list[Pair]:
    """Each pair for 10 seconds, whatever the grid: one step takes a tenth of a second."""
    print(f"word model: LSTM, {H} units, {V:,} words, B {B}, T {T}, AdamW")
    found, pairs = steps(V, H, B, T), []
    for ours, theirs in (
        ("token vectors", "nn.Embedding + nn.LSTM"),
        ("class indices", "token vectors"),
        ("tied", "token vectors"),
    ):
        pairs.append(alternate(f"{ours} / {theirs}", found[ours], found[theirs], 10))
        print(pairs[-1], flush=True)
    return pairs
