"""Sampling: text that a model generates, one token at a time."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from tidegate.errors import ArgumentError, DivergenceError
from tidegate.nn import stream
from tidegate.nn.stream_parts import DTYPES
from tidegate.train.model import LanguageModel, State


def check(length: int, temperature: float, top_k: int, seed: int) -> None:
    """Raise ArgumentError, with the name of the option, for an invalid value."""
    if length < 1:
        raise ArgumentError(f"--length must be an integer of at least 1, got {length}.")
    if not 0 <= temperature < float("inf"):
        raise ArgumentError(
            f"--temperature must be a number of at least 0 (0: always the most likely token), got {temperature}."
        )
    if top_k < 0:
        raise ArgumentError(f"--top-k must be an integer of at least 0 (0: no limit), got {top_k}.")
    if not 0 <= seed < 2**63:
        raise ArgumentError(f"--seed must be an integer from 0 to 2^63 - 1, got {seed}.")


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

    `temperature` 0 takes the most likely token; `top_k` above 0 draws among the k most likely; the token `never` is not
    drawn. The only random numbers used are those of `generator`; torch's global generators are neither read nor
    advanced.

    Raises ArgumentError for an empty prompt, and DivergenceError where the scores are no longer finite, for
    example because the state of the cell grows without bound.
    """
    if not len(prompt):
        raise ArgumentError("`prompt` must hold at least one token, got none.")
    scores_after = continuation(model)
    last = scores_after(prompt)
    for drawn in range(length):
        if not last.isfinite().all():
            raise DivergenceError(
                f"the scores of the model are not finite after {len(prompt) + drawn} tokens, so no token can be "
                "drawn. Use a smaller --length, or a cell whose state is bounded."
            )
        if never is not None:
            last[never] = float("-inf")
        token = draw(last, temperature, top_k, generator)
        yield token
        if drawn + 1 < length:
            last = scores_after(torch.tensor([token]))


def continuation(model: LanguageModel) -> Callable[[Tensor], Tensor]:
    """A function that takes the next tokens (N,) of one text and returns the scores (V,) after them, on the CPU, where
    the random numbers are drawn. Where the model can be streamed it is a stream, elsewhere it calls the model."""
    if model.head.weight.is_cpu and model.head.weight.dtype in DTYPES:
        s = stream(model)

        def by_steps(tokens: Tensor) -> Tensor:
            *_, last = (s.step(token) for token in tokens.tolist())
            return torch.from_numpy(last)

        return by_steps
    state: State = None

    @torch.no_grad()
    def by_calls(tokens: Tensor) -> Tensor:
        nonlocal state
        was_training = model.training
        model.eval()
        try:
            scores, state = model(tokens.unsqueeze(1).to(model.head.weight.device), state)
        finally:
            model.train(was_training)
        return scores[-1, 0].cpu()

    return by_calls


def draw(scores: Tensor, temperature: float, top_k: int, generator: torch.Generator) -> int:
    """One token from the scores (V,)."""
    if temperature == 0:
        return int(scores.argmax())
    # A smaller temperature could round to 0 in the dtype of the scores, and 0 / 0 is NaN.
    scores = (scores - scores.max()) / max(temperature, torch.finfo(scores.dtype).tiny)
    if 0 < top_k < len(scores):
        least = scores.topk(top_k).values[-1]
        scores = scores.masked_fill(scores < least, float("-inf"))
    return int(torch.multinomial(scores.softmax(0), 1, generator=generator))
