"""Speed side by side with torch.nn: `python -m benchmarks` from the root of the repository."""

import tidegate  # noqa: F401  before torch, which reads only once how long its threads spin for each other
