"""How long PyTorch's OpenMP threads spin for each other before they sleep: shorter, where nobody has said otherwise.

GNU's OpenMP reads GOMP_SPINCOUNT once, when torch loads it. Its own default, 300,000 turns, keeps a core busy for
milliseconds whenever another program holds the core that is waited for. A training step of 6 ms (GRU, 256 units, 2
threads on 2 cores) takes 22 to 80 ms beside one busy program a core; with 12,000 turns it takes 13 to 15, and on an
idle machine a few hundredths more than before. Far fewer turns would help it more, and cost torch.nn's own layers a
fifth of their speed on an idle machine. Where torch is loaded already, or the user has set either variable, nothing
changes: so `import tidegate` goes before `import torch`.
"""

import os
import sys

SPINS = "12000"

if "torch" not in sys.modules and "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
