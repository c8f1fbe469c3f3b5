"""How long PyTorch's OpenMP threads spin for each other before they sleep: shorter, unless the user has set it.

GNU's OpenMP reads GOMP_SPINCOUNT once, when torch loads it. Its own default, 300,000 turns, keeps a core busy for
milliseconds whenever another program holds the core of a thread that is waited for. A training step of 6 ms (GRU, 256
units, 2 threads on 2 cores) takes 22 to 80 ms beside one busy program a core; with 12,000 turns it takes 13 to 15, and
on an idle machine a few hundredths more than before. Far fewer turns would help it more, and cost torch.nn's own layers
a fifth of their speed on an idle machine.

The variable is set while torch is imported and removed again, so that child processes do not inherit it. Where torch is
loaded already, or the user has set GOMP_SPINCOUNT or OMP_WAIT_POLICY, nothing changes: so `import tidegate` goes before
`import torch`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

SPINS = "12000"


@contextmanager
def short_spins() -> Iterator[None]:
    """GOMP_SPINCOUNT in the environment of this process, where it may be set."""
    if "GOMP_SPINCOUNT" in os.environ or "OMP_WAIT_POLICY" in os.environ:
        yield
        return
    os.environ["GOMP_SPINCOUNT"] = SPINS
    try:
        yield
    finally:
        os.environ.pop("GOMP_SPINCOUNT", None)
