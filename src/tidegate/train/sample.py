"""Sampling: text that a model generates, one token at a time."""

from collections.abc import Iterator

import torch
from torch import Tensor

from tidegate.errors import ArgumentError, DivergenceError
from tidegate.train.model import LanguageModel


def check(length: int, temperature: float, top_k: int, seed: int) -> None:
    """Raise ArgumentError, naming the option, for settings that no sample can have."""
    if length < 1:
        raise ArgumentError(f"--length must be an integer of at least 1, got {length}.")
    if not 0 <= temperature < float("inf"):
        raise ArgumentError(
            f"--temperature must be a number of at least 0 (0: always the likeliest), got {temperature}."
        )
    if top_k < 0:
        raise ArgumentError(f"--top-k must be an integer of at least 0 (0: no limit), got {top_k}.")
    if not 0 <= seed < 2**63:
        raise ArgumentError(f"--seed must be an integer from 0 to 2^63 - 1, got {seed}.")


@torch.no_grad()
def sample(
    model: LanguageModel,
    prompt: Tensor,
    length: int,
    *,
    temperature: float = 1.0,
    top_k: int = 0,
    never: int | None = None,
    generator: torch.Generator,
) -> Iterator[int]:
    """Yield `length` tokens that follow `prompt` (N,), each drawn from softmax(scores / temperature).

    `temperature` 0 takes the likeliest token; `top_k` above 0 draws among the k likeliest; the token `never` is not
    drawn. Only `generator` is used, so a sample neither depends on other random numbers nor changes them.

    Raises ArgumentError for an empty prompt, and DivergenceError where the scores are no longer finite, as with a cell
    whose state grows without bound.
    """
    if not len(prompt):
        raise ArgumentError("`prompt` must hold at least one token, got none.")
    was_training = model.training
    model.eval()
    try:
        device = model.head.weight.device
        scores, state = model(prompt.unsqueeze(1).to(device))
        for drawn in range(length):
            last = scores[-1, 0].cpu()  # the generator is on the CPU, whatever the device
            if not last.isfinite().all():
                raise DivergenceError(
                    f"the scores of the model are not finite after {len(prompt) + drawn} tokens, so no token can be "
                    "drawn. Use a smaller --length, or a cell whose state is bounded."
                )
            if never is not None:
                last[never] = float("-inf")
            token = draw(last, temperature, top_k, generator)
            yield token
            scores, state = model(torch.tensor([[token]], device=device), state)
    finally:
        model.train(was_training)


def draw(scores: Tensor, temperature: float, top_k: int, generator: torch.Generator) -> int:
    """One token from the scores (V,)."""
    if temperature == 0:
        return int(scores.argmax())
    scores = (scores - scores.max()) / max(temperature, torch.finfo(scores.dtype).tiny)  # however cold, no overflow
    if 0 < top_k < len(scores):
        least = scores.topk(top_k).values[-1]
        scores = scores.masked_fill(scores < least, float("-inf"))
    return int(torch.multinomial(scores.softmax(0), 1, generator=generator))
