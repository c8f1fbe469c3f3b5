"""What a page needs to run a model, or to show what a model did where it is too large to be run."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.export import STORAGES, JavaScript, javascript
from tidegate.train.model import LanguageModel, folded

#: The largest difference, in nats, between a log-probability of the page and the stored one that is only rounding.
TOLERANCE = {"float32": 1e-5, "float16": 0.1}
BASE64 = 4 / 3


@dataclass(frozen=True)
class Live:
    """The program of each model; no programs, and the reason in `missing`, where the models are too large."""

    programs: Sequence[JavaScript]
    missing: str

    @property
    def storage(self) -> str | None:
        return self.programs[0].storage if self.programs else None


def live_part(models: Sequence[LanguageModel], room: int) -> Live:
    """The programs of the models in the largest storage in which all of them together fit into `room` characters."""
    models = [folded(model) for model in models]
    numbers = sum(p.numel() for model in models for p in model.parameters())
    for storage, kind in STORAGES.items():
        if numbers * np.dtype(kind).itemsize * BASE64 <= room:
            return Live([javascript(model, storage=storage) for model in models], "")
    return Live(
        (),
        f"The model{'s' * (len(models) > 1)} cannot be run in this page: {numbers:,} weights would make it larger than "
        "3 MB. The colours and predictions of the passage were computed when the page was written.",
    )


def packed(values: NDArray[Any], low: float, high: float) -> dict[str, Any]:
    """Numbers in 8 bits each, low to high, as base64; NaN as the low end."""
    span = (high - low) or 1.0
    levels = np.clip(np.rint((np.nan_to_num(values, nan=low) - low) * (255 / span)), 0, 255).astype(np.uint8)
    return {"low": low, "high": high, "base64": base64.b64encode(levels.tobytes()).decode("ascii")}


def stored_values(
    arrays: Mapping[tuple[int, str], NDArray[Any]], units: Mapping[int, Sequence[int]]
) -> list[dict[str, Any]]:
    """The values (T, H) of the chosen units by (layer, name), in 8 bits each over the range of the array."""
    found = []
    for (layer, name), array in arrays.items():
        chosen = array[:, list(units[layer])]
        low, high = float(chosen.min()), float(chosen.max())
        found.append({"layer": layer, "name": name, "units": list(units[layer]), **packed(chosen, low, high)})
    return found
