"""The states of a model and the features of a text, over passages of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tidegate.errors import ArgumentError
from tidegate.insight.reading import Reading
from tidegate.insight.tracking.features import Feature, feature_values
from tidegate.insight.tracking.null import PASSAGES, kind_of_null
from tidegate.insight.tracking.passages import Passages, cut
from tidegate.insight.tracking.states import Network, unit_states
from tidegate.insight.tracking.strata import strata

MOST = 32  # passages
MEMORY = 2**28  # bytes of the states


@dataclass(frozen=True)
class Sample:
    """States and features over M passages of L tokens.

    states (M, L, U), in the order of Network.columns. features (M, L, F). values (N, F): of every token of the text.
    """

    network: Network
    reading: Reading
    passages: Passages
    states: np.ndarray
    features: np.ndarray
    values: np.ndarray

    @property
    def null(self) -> str:
        """The kind of null distribution, by the number of passages."""
        return kind_of_null(len(self.passages))

    @cached_property
    def varies(self) -> np.ndarray:
        """Whether each feature has more than one value, (F,)."""
        return np.ptp(self.features, (0, 1)) > 0

    @cached_property
    def strata(self) -> np.ndarray:
        """The stratum of each position, (M, L): see `strata`."""
        at, ids = self.passages.counted, self.reading.ids.numpy()
        return strata(ids[at - 1], ids[at])


def sample(network: Network, reading: Reading, features: Mapping[str, Feature], positions: int, name: str) -> Sample:
    """The Sample of at most 32 passages of the text, or of one passage if the text is too short for 15 of 200 tokens;
    with fewer positions if the states of a large network would take more than 256 MiB."""
    positions = max(1, min(positions, MEMORY // (4 * len(network.columns()))))
    passages = cut(reading, name, positions=positions, most=MOST)
    if len(passages) < PASSAGES:
        passages = cut(reading, name, positions=positions, most=1)
    values = feature_values(features, reading.text)[reading.ends]
    states = unit_states(network, passages.inputs(reading), passages.warmup)
    if not np.isfinite(states).all():
        raise ArgumentError(f"`model` has states that are NaN or infinite on `{name}`, so nothing can be measured.")
    return Sample(network, reading, passages, states, values[passages.counted], values)
