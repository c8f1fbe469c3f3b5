"""Which tokens of a text are trained on, and which are held out."""

from tidegate.errors import ArgumentError, DataError


def split(count: int, heldout: float = 0.1, first: int | None = None) -> tuple[slice, slice]:
    """The slices of `count` tokens that are trained on and, right after them, held out.

    `heldout` below 1 is a share of the tokens used, from 1 on a number of tokens. Without `first` all tokens are used:
    int((1 - heldout) * count) are trained on, the rest is held out. With `first`, exactly that many tokens are trained
    on, and tokens after the held-out part are not used: split(170_580, 10_000, first=10_000) trains on the first 10,000
    and holds out the next 10,000.

    Raises DataError, with the numbers of tokens, where there are too few.
    """
    if not (0 < heldout < 1 or (heldout >= 1 and float(heldout).is_integer())):
        raise ArgumentError(f"`heldout` must be a share between 0 and 1 or a whole number of tokens, got {heldout}.")
    if first is not None and first < 1:
        raise ArgumentError(f"`first` must be at least 1 token, got {first}.")
    if first is not None:
        train = first
        tail = round(first * heldout / (1 - heldout)) if heldout < 1 else int(heldout)
    else:
        train = int((1 - heldout) * count) if heldout < 1 else count - int(heldout)
        tail = count - train
    if heldout < 1 and tail < 2 and count >= 2 + (first or 2):
        remedy = "longer text, or a greater `heldout`" if first is None else "greater `first` or `heldout`"
        raise DataError(f"the held-out part would have {tail} token{'s' * (tail != 1)}, and needs 2. Use a {remedy}.")
    if heldout < 1 and train < 2 and first is None and count >= 4:
        raise DataError(f"the training part would have {train} token{'s' * (train != 1)}, and needs 2. Use a smaller "
                        "`heldout`.")  # fmt: skip
    if train < 2 or tail < 2 or train + tail > count:
        raise DataError(
            f"the text has {count} token{'s' * (count != 1)}: too short to train on {max(train, 2)} and hold out "
            f"{max(tail, 2)} after them. Use a longer text, or a smaller `first` or `heldout`."
        )
    return slice(0, train), slice(train, train + tail)
