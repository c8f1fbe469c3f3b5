import pytest
import torch

from tidegate.errors import ArgumentError
from tidegate.train.device import DEVICES, find_device


@pytest.fixture
def machine(monkeypatch):
    """A machine whose PyTorch finds these devices and is built for those."""

    def arrange(found=(), built=()):
        for name, module in (("cuda", torch.cuda), ("mps", torch.backends.mps)):
            monkeypatch.setattr(module, "is_available", lambda name=name: name in found)
        monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: "cuda" in built)
        monkeypatch.setattr(torch.backends.mps, "is_built", lambda: "mps" in built)

    return arrange


@pytest.mark.parametrize(
    ("found", "chosen"), [((), "cpu"), (("cuda",), "cuda"), (("mps",), "mps"), (("cuda", "mps"), "cuda")]
)
def test_auto_prefers_cuda_to_mps_to_the_cpu(machine, found, chosen):
    machine(found)
    assert find_device("auto") == torch.device(chosen)


@pytest.mark.parametrize("name", ["cpu", "cuda", "mps"])
def test_an_available_device_is_chosen_by_name(machine, name):
    machine(found=("cuda", "mps"))
    assert find_device(name) == torch.device(name)


@pytest.mark.parametrize(
    ("name", "built", "words"),
    [
        ("cuda", ("cuda",), "PyTorch finds no cuda device on this machine, which needs an NVIDIA or AMD GPU"),
        ("cuda", (), f"PyTorch {torch.__version__} is built without cuda. Use `device` cpu or auto, or install"),
        ("mps", ("mps",), "PyTorch finds no mps device on this machine, which needs an Apple GPU"),
        ("mps", (), f"PyTorch {torch.__version__} is built without mps"),
    ],
)
def test_an_unavailable_device_is_refused_with_the_reason(machine, name, built, words):
    machine(built=built)
    with pytest.raises(ArgumentError) as refused:
        find_device(name)
    assert f"`device` {name} is not available: {words}" in str(refused.value)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("gpu", "Did you mean cuda"), ("CUDA", "Did you mean cuda?"), ("cuda:1", "CUDA_VISIBLE_DEVICES"), ("x", "")],
)
def test_an_unknown_device_is_refused_with_the_known_ones_and_a_hint(name, hint):
    with pytest.raises(ArgumentError) as refused:
        find_device(name)
    assert f"`device` must be one of {', '.join(DEVICES)}, got {name!r}." in str(refused.value)
    assert hint in str(refused.value)
