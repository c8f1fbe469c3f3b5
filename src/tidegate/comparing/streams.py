"""Random numbers: a stream for each purpose, so that one does not depend on how many another has drawn."""

import numpy as np
import torch

#: Those of an evaluation do not depend on the seed of the job: all jobs are evaluated on the same sequences.
WEIGHTS, TRAINING, EVALUATION, FINAL, TESTS, SAMPLE, TIMING = range(7)


def number(*key: int) -> int:
    """A seed for a stream of random numbers, different for every key."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1)


def stream(*key: int) -> torch.Generator:
    return torch.Generator().manual_seed(number(*key))
