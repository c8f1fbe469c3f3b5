"""Shortens the time that PyTorch's OpenMP threads spin for each other before they sleep, unless the user has set it.

GNU's OpenMP reads GOMP_SPINCOUNT once, when torch loads it. Its default, 300,000 iterations, keeps a core busy for
milliseconds whenever another program occupies the core of a thread that others wait for. A training step of 6 ms
(GRU, 256 units, 2 threads on 2 cores) takes 22 to 80 ms with one busy program per core; with 12,000 iterations it takes
13 to 15 ms, and on an idle machine a few per cent more than before. Far fewer iterations would shorten it further, but
torch.nn's own layers would lose a fifth of their speed on an idle machine.

The variable is set while torch is imported and removed again, so that child processes do not inherit it. Nothing
changes if torch is loaded already, or if the user has set GOMP_SPINCOUNT or OMP_WAIT_POLICY; so write `import tidegate`
before `import torch`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

SPINS = "12000"


@contextmanager
def short_spins() -> Iterator[None]:
    """Sets GOMP_SPINCOUNT in the environment inside the context, unless the user has set it or OMP_WAIT_POLICY."""
    if "GOMP_SPINCOUNT" in os.environ or "OMP_WAIT_POLICY" in os.environ:
        yield
        return
    os.environ["GOMP_SPINCOUNT"] = SPINS
    try:
        yield
    finally:
        os.environ.pop("GOMP_SPINCOUNT", None)
