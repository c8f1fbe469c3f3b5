"""Error messages of the library in the words of the command line: `min_freq` becomes --min-freq."""

import re
from collections.abc import Mapping

RENAMED = {"hidden_size": "hidden", "num_layers": "layers"}  # arguments of layers whose options have another name


def as_typed(message: str, typed: Mapping[str, str]) -> str:
    """`message` with each Python name in backticks as a user types it; `typed` has these by the names in Python."""
    typed = {**typed, **{name: typed[option] for name, option in RENAMED.items() if option in typed}}
    return re.sub(r"`(\w+)`", lambda found: typed.get(found[1], found[0]), message)
