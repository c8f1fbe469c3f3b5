"""Error messages of the library, with Python names replaced by options: `min_freq` becomes --min-freq."""

import re
from collections.abc import Mapping

RENAMED = {"hidden_size": "hidden", "num_layers": "layers"}  # arguments of layers whose options have another name


def as_typed(message: str, typed: Mapping[str, str]) -> str:
    """`message` with each Python name in backticks replaced by what a user types, which `typed` has by that name."""
    typed = {**typed, **{name: typed[option] for name, option in RENAMED.items() if option in typed}}
    return re.sub(r"`(\w+)`", lambda found: typed.get(found[1], found[0]), message)
