"""The engines a layer's calls go to, and what it says of them."""

import pytest
import torch

import tidegate


def chosen(verdicts) -> str:
    (name,) = [v.engine for v in verdicts if v.chosen]
    return name


def refusals(verdicts) -> dict[str, str | None]:
    return {v.engine: v.refusal for v in verdicts}


def test_why_takes_every_form_of_a_call():
    layer, x = tidegate.GRU(3, 4, batch_first=True), torch.randn(2, 5, 3)
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, [5, 3], batch_first=True)
    resets = torch.zeros(2, 5, dtype=torch.bool)
    usual = tidegate.why(layer, x)
    assert len(usual) == 3
    for verdicts in (
        tidegate.why(layer, x[0]),
        tidegate.why(layer, packed),
        tidegate.why(layer, torch.zeros(2, 5, dtype=torch.int64)),
        tidegate.why(layer, x, torch.zeros(1, 2, 4)),
        tidegate.why(layer, x, lengths=[1, 2], resets=resets),
    ):
        assert refusals(verdicts) == refusals(usual)


def test_why_names_the_reason_of_each_refusal():
    x = torch.randn(5, 2, 3)
    projected = tidegate.why(tidegate.LSTM(3, 4, proj_size=2), x)
    assert chosen(projected) == "eager"
    assert "projection" in refusals(projected)["cpu"]
    assert "float16" in refusals(tidegate.why(tidegate.GRU(3, 4).half(), x.half()))["cpu"]
    assert chosen(tidegate.why(tidegate.GRU(3, 4, device="meta"), x.to("meta"))) == "eager"


# torch's own forward-mode formulas still script a function, which torch deprecates.
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is:DeprecationWarning")
def test_transforms_and_tangents_are_left_to_the_eager_engine():
    layer, x, seen = tidegate.GRU(3, 4), torch.randn(5, 2, 3), []

    def f(x):
        seen.append(tidegate.why(layer, x))
        return layer(x)[0].sum()

    torch.func.grad(f)(x)
    torch.func.vmap(f, in_dims=1)(x)
    with torch.autograd.forward_ad.dual_level():
        f(torch.autograd.forward_ad.make_dual(x, x))
    words = ("torch.func", "torch.func", "tangent")
    for verdicts, word in zip(seen, words, strict=True):
        assert chosen(verdicts) == "eager"
        assert word in refusals(verdicts)["cpu"]


def test_an_engine_named_explicitly_refuses_a_transform():
    layer = tidegate.GRU(3, 4, engine="cpu")
    with pytest.raises(tidegate.EngineError, match=r"torch\.func"):
        torch.func.grad(lambda x: layer(x)[0].sum())(torch.randn(5, 2, 3))
