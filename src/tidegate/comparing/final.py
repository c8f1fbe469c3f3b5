"""What is measured of a trained network."""

from __future__ import annotations

import math
from typing import Any

import torch

from tidegate.comparing.job import Job
from tidegate.comparing.network import Network
from tidegate.comparing.one_thread import drawing
from tidegate.comparing.streams import FINAL, SAMPLE, TESTS, stream
from tidegate.errors import DivergenceError
from tidegate.tasks import Batch, Language, Task
from tidegate.train.generate import line_start
from tidegate.train.model import LanguageModel
from tidegate.train.sample import sample

LENGTH, TEMPERATURE = 200, 0.8  # of a sample: tokens, and of the softmax


@torch.no_grad()
def evaluate(network: Network, task: Task, batch: Batch) -> float:
    return task.score(network(batch), batch)


@torch.no_grad()
def final(network: Network, heldout: Task, job: Job) -> dict[str, Any]:
    """The score and the further figures on new sequences, which did not decide when training ended; the scores of the
    task's further tests; and for a language model a sample. Figures that are not finite are None."""
    tests = {}
    for k, (name, test) in enumerate(heldout.tests().items()):
        tests[name] = finite(evaluate(network, test, test.batch(job.eval_size, stream(TESTS, k))))
    batch = heldout.batch(job.eval_size, stream(FINAL, 0))
    outputs = network(batch)
    return {
        "score": heldout.score(outputs, batch),
        "figures": {name: finite(value) for name, value in heldout.figures(outputs, batch).items()},
        "tests": tests,
        "sample": sampled(network, heldout, job.seed) if isinstance(heldout, Language) else "",
    }


def finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def sampled(network: Network, task: Language, seed: int) -> str:
    """Text that the network writes; it ends early where the scores are no longer finite."""
    layer, vocabulary = network.layer, task.vocabulary
    with drawing(0):  # weights that are replaced
        model = LanguageModel(layer.step, len(vocabulary), layer.hidden_size, layers=layer.num_layers)
    model.recurrent, model.head = layer, network.head
    drawn: list[int] = []
    try:
        for token in sample(
            model, line_start(vocabulary), LENGTH, temperature=TEMPERATURE, never=vocabulary.unknown,
            generator=stream(SAMPLE, seed),
        ):  # fmt: skip
            drawn.append(token)
    except DivergenceError:
        pass  # what was drawn before is the sample, and its length shows it
    return "".join(vocabulary.stream(iter(drawn)))
