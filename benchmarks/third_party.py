"""Models of other projects, changed in one line, trained with torch.nn and with Tidegate from the same seed.

    pip install --no-deps deepecho stanza sb3-contrib denoiser ...   # their own requirements, not another torch
    python benchmarks/third_party.py [deepecho stanza sb3 denoiser]

Runs alternate, torch.nn first; the loss of every step is compared, and the ratio of times is the median of the pairs.
"""

import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

import tidegate

PAIRS = 3


@contextmanager
def in_place_of(module, name: str, twin: type | None):
    """The one-line change, `module.name = twin`, undone at the end."""
    plain = getattr(module, name)
    setattr(module, name, twin or plain)
    yield
    setattr(module, name, plain)


def deepecho(twin: bool) -> list[float]:
    """Time series: the probabilistic autoregressive model of the Synthetic Data Vault, a GRU over packed sequences."""
    from deepecho import PARModel

    random = np.random.default_rng(0)
    sequences = []
    for _ in range(64):
        n = int(random.integers(40, 80))
        walk = random.normal(size=n).cumsum()
        sequences.append({"context": [float(walk[0])], "data": [walk.tolist(), np.sin(walk).tolist()]})
    with in_place_of(torch.nn, "GRU", tidegate.GRU if twin else None):
        model = PARModel(epochs=40, cuda=False, verbose=False)
        model.fit_sequences(sequences, ["continuous"], ["continuous", "continuous"])
    return model.loss_values["Loss"].tolist()


def stanza(twin: bool) -> list[float]:
    """Text: Stanford's character language model, an LSTM over packed sequences with a learned initial state."""
    from stanza.models.common.char_model import CharacterLanguageModel
    from stanza.models.common.vocab import CharVocab

    text = Path(__file__).read_text() * 4
    vocab = {"char": CharVocab([list(text)], "en")}
    options = {"char_emb_dim": 64, "char_hidden_dim": 256, "char_num_layers": 1, "char_dropout": 0.05}
    model = CharacterLanguageModel(options | {"char_rec_dropout": 0.0}, vocab)
    if twin:
        tidegate.convert.replace_layers(model)
    model.train()
    optimiser = torch.optim.SGD(model.parameters(), lr=5.0, momentum=0.0)
    ids = torch.tensor(vocab["char"].map(list(text)))
    T, B = 80, 32
    ids = ids[: len(ids) // B * B].view(B, -1)
    losses, hidden = [], None
    for step in range(40):
        at = step * T % (ids.shape[1] - T - 1)
        _, hidden, decoded = model(ids[:, at : at + T], [T] * B, hidden)
        hidden = tuple(h.detach() for h in hidden)
        loss = torch.nn.functional.cross_entropy(decoded.flatten(0, 1), ids[:, at + 1 : at + T + 1].flatten())
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        optimiser.step()
        losses.append(loss.item())
    return losses


def sb3(twin: bool) -> list[float]:
    """Reinforcement learning: RecurrentPPO of Stable Baselines3 Contrib on CartPole, an actor and a critic LSTM."""
    from sb3_contrib import RecurrentPPO

    losses: list[float] = []
    with in_place_of(torch.nn, "LSTM", tidegate.LSTM if twin else None):
        model = RecurrentPPO(
            "MlpLstmPolicy", "CartPole-v1", n_steps=256, batch_size=256, n_epochs=4, seed=0, device="cpu"
        )
    record = model.logger_record = model.train

    def train():
        record()
        losses.append(float(model.logger.name_to_value["train/loss"]))

    model.train = train
    model.learn(2048)
    return losses


def denoiser(twin: bool) -> list[float]:
    """Audio: Facebook's real-time speech enhancement (Demucs), two LSTM layers between convolutions on the waveform."""
    from denoiser.demucs import Demucs

    model = Demucs(hidden=16, depth=4, causal=True)
    if twin:
        tidegate.convert.replace_layers(model)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-4)
    losses = []
    for _ in range(12):
        time_axis = torch.arange(16000) / 16000
        clean = torch.sin(2 * torch.pi * (100 + 300 * torch.rand(8, 1, 1)) * time_axis)
        loss = torch.nn.functional.l1_loss(model(clean + 0.3 * torch.randn(clean.shape)), clean)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


EXPERIMENTS: dict[str, Callable[[bool], list[float]]] = {f.__name__: f for f in (deepecho, stanza, sb3, denoiser)}


def compare(name: str) -> None:
    run = EXPERIMENTS[name]
    ratios, curves, seconds = [], {}, {False: [], True: []}
    for pair in range(PAIRS + 1):  # the first warms up
        for twin in (False, True):
            torch.manual_seed(0)
            np.random.seed(0)
            begin = time.perf_counter()
            curves[twin] = np.array(run(twin))
            seconds[twin].append(time.perf_counter() - begin)
        if pair:
            ratios.append(seconds[False][-1] / seconds[True][-1])
    plain, ours = curves[False], curves[True]
    apart = np.abs(plain - ours) / np.maximum(np.abs(plain), 1e-3)
    print(f"{name}: {run.__doc__.splitlines()[0]}")
    print(
        f"  loss of torch.nn  {plain[0]:.6f} ... {plain[len(plain) // 2]:.6f} ... {plain[-1]:.6f} in {len(plain)} steps"
    )
    print(f"  loss of Tidegate  {ours[0]:.6f} ... {ours[len(ours) // 2]:.6f} ... {ours[-1]:.6f}")
    print(f"  largest relative difference: first step {apart[0]:.1e}, whole curve {apart.max():.1e}")
    print(
        f"  seconds {statistics.median(seconds[False][1:]):.2f} and {statistics.median(seconds[True][1:]):.2f}; "
        f"whole training faster by {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
        flush=True,
    )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {os.cpu_count()} cores")
    for name in sys.argv[1:] or EXPERIMENTS:
        compare(name)
