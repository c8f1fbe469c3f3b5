"""How long PyTorch's OpenMP threads spin for each other before they sleep: shorter, where nobody has said otherwise.

GNU's OpenMP reads GOMP_SPINCOUNT once, when torch loads it. Its own default, 300,000 turns, keeps a core busy for
milliseconds whenever another program holds the core that is waited for. A training step of 5 ms (GRU, 256 units, 2
threads on 2 cores) took 50 to 80 ms beside one busy program; with 30,000 turns it takes 20, and no longer than before
on an idle machine. Where torch is loaded already, or the user has set either variable, nothing changes.
"""

import os
import sys

SPINS = "30000"

if "torch" not in sys.modules and "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
