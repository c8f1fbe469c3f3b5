"""The device that a model runs on, chosen by name."""

import torch

from tidegate.errors import ArgumentError, did_you_mean

DEVICES = ("auto", "cpu", "cuda", "mps")


def find_device(name: str) -> torch.device:
    """The device "cpu", "cuda" or "mps"; "auto" is cuda where PyTorch finds it, else mps, else cpu.

    Raises ArgumentError, with the reason, where the name is unknown or the named device is not available.
    """
    if name not in DEVICES:
        raise ArgumentError(f"`device` must be one of {', '.join(DEVICES)}, got {name!r}.{hint(name)}")
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    if name == "cuda" and not cuda:
        raise ArgumentError(
            missing("cuda", "an NVIDIA or AMD GPU with its driver", built=torch.backends.cuda.is_built())
        )
    if name == "mps" and not mps:
        raise ArgumentError(missing("mps", "an Apple GPU and macOS 14 or newer", built=torch.backends.mps.is_built()))
    return torch.device(name)


def hint(name: str) -> str:
    """A hint for a name that is not a device."""
    if name == "gpu":
        return " Did you mean cuda (NVIDIA, AMD) or mps (Apple)?"
    if name.startswith("cuda:"):
        return " Choose among several GPUs with the environment variable CUDA_VISIBLE_DEVICES."
    return did_you_mean(name, DEVICES)


def missing(name: str, needs: str, *, built: bool) -> str:
    if built:
        reason = f"PyTorch finds no {name} device on this machine, which needs {needs}"
        remedy = "Use `device` cpu or auto."
    else:
        reason = f"PyTorch {torch.__version__} is built without {name}"
        remedy = f"Use `device` cpu or auto, or install a PyTorch that supports {name}."
    return f"`device` {name} is not available: {reason}. {remedy}"


def describe(device: torch.device) -> str:
    """A description of the device: "cpu", "mps", or "cuda (NVIDIA H200)"."""
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type
