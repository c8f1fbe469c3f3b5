"""The right answers to each task, computed from its definition for one sequence at a time, and constant guesses."""

import math

import torch

from tidegate.tasks import IGNORE, find_task

SMALL = {
    "recall": {"length": 7, "symbols": 3},
    "skip": {"length": 13, "symbols": 3, "irrelevant": 0.6},
    "break": {"length": 17, "segment": 5.0},
    "only-at": {"length": 9, "symbols": 3, "at": 4},
    "adding": {"length": 11},
    "copy": {"delay": 3, "symbols": 3, "count": 2},
    "selective-copy": {"length": 9, "symbols": 3, "count": 4},
    "temporal-order": {"length": 23},
    "parity": {"longest": 7},
    "anbn": {"most": 5},
    "anbncn": {"most": 4},
    "dyck": {"length": 19, "types": 3, "depth": 3},
    "flip-flop": {"length": 9, "bits": 2},
    "delayed-match": {"delay": 3, "symbols": 3},
    "associative-recall": {"pairs": 3, "keys": 5, "values": 3},
    "digits": {},
    "text": {"length": 11},
}
ANSWERED = [name for name in SMALL if name not in ("digits", "text")]


def small(name, **changes):
    return find_task(name, **{**SMALL[name], **changes})


def draw(task, size=60, seed=1):
    return task.batch(size, torch.Generator().manual_seed(seed))


def sum_since_break(task, past, resets):
    scale = math.sqrt(1 / task.segment)
    if task.marker == "none":
        return [scale * sum((1 - 1 / task.segment) ** j * v for j, (v,) in enumerate(reversed(past)))]
    shown = [mark for _, mark in past] if task.marker == "input" else resets
    begin = max(t for t, mark in enumerate(shown) if mark)
    return [scale * sum(x[0] for x in past[begin:])]


def copied(task, past, _):
    t = len(past) - 1 - task.delay - task.count
    return task.symbols if t < 0 else past[t]


def selected(task, past, _):
    symbols = [s for s in past if s < task.symbols]
    asked = past.count(task.symbols + 1)
    return symbols[asked - 1] if asked else 0


def ordered(task, past, _):
    found = ["XY"[s] for s in past if s < 2]
    return ["XX", "XY", "YX", "YY"].index("".join(found)) if len(found) == 2 else 0


def counted(task, past, _):
    letter = past[-1]
    return letter + (past.count(letter) == past.count(0))


def innermost(task, past, _):
    still_open = []
    for s in past:
        if s < task.types:
            still_open.append(s)
        else:
            assert still_open.pop() == s - task.types
    assert len(still_open) <= task.depth
    return still_open[-1] if still_open else 0


def last_pulses(task, past, _):
    return [next(v for v in reversed(channel) if v) for channel in zip(*past)]


def looked_up(task, past, _):
    if len(past) < 2 * task.pairs + 1:
        return 0
    return dict(zip(past[0:-1:2], past[1::2]))[past[-1]] - task.keys


# task, the inputs up to a step, the resets up to it -> the answer at that step: no later input can be used.
ANSWERS = {
    "recall": lambda task, past, _: past[0],
    "skip": lambda task, past, _: ([0, 0] + [s for s in past if s < task.symbols])[-2],
    "break": sum_since_break,
    "only-at": lambda task, past, _: max(0, *past, 0, task.symbols) - task.symbols,
    "adding": lambda task, past, _: [sum(value for value, marker in past if marker)],
    "copy": copied,
    "selective-copy": selected,
    "temporal-order": ordered,
    "parity": lambda task, past, _: past.count(1) % 2,
    "anbn": counted,
    "anbncn": counted,
    "dyck": innermost,
    "flip-flop": last_pulses,
    "delayed-match": lambda task, past, _: int(past[0] == past[-1]),
    "associative-recall": looked_up,
}


def answer(task, batch):
    """The outputs (T, B, K) of a network that answers every question from the inputs up to it."""
    rows = batch.x.transpose(0, 1).tolist()
    resets = [None] * len(rows) if batch.resets is None else batch.resets.tolist()
    answers = [
        [ANSWERS[task.name](task, row[: t + 1], reset and reset[: t + 1]) for t in range(len(row))]
        for row, reset in zip(rows, resets)
    ]
    found = torch.tensor(answers).transpose(0, 1)
    return logits(found, task.output_size) if task.of_classes else found


def logits(classes, size):
    return 100.0 * torch.nn.functional.one_hot(classes.clamp(0, size - 1), size)


def constant(task, batch, guess):
    """The outputs of a network that gives the same answer, a class or features, at every step."""
    shape = batch.x.shape[:2]
    if task.of_classes:
        return logits(torch.full(shape, guess), task.output_size)
    return torch.full((*shape, task.output_size), float(guess))


def asked_classes(batch):
    return batch.target[batch.target != IGNORE]
