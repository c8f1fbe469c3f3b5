"""A trainer to a checkpoint and back: after a restore the run goes on with the same numbers, to the bit."""

from collections import deque
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from tidegate.errors import CheckpointError
from tidegate.train.checkpoint import Checkpoint
from tidegate.train.loop import Trainer
from tidegate.train.model import State
from tidegate.train.position import Best, Position


def capture(trainer: Trainer) -> Checkpoint:
    """Everything that the trainer's next step depends on, beside the recipe and the text."""
    tensors = {f"model.{name}": value for name, value in trainer.model.state_dict().items()}
    moments, groups = optimiser_parts(trainer.optimizer)
    tensors |= moments
    tensors |= {f"state.{k}": part.clone() for k, part in enumerate(state_parts(trainer.state))}
    tensors["random"] = torch.get_rng_state()
    tensors["losses"] = torch.tensor(list(trainer.position.losses), dtype=torch.float64)
    tensors["norms"] = torch.tensor(list(trainer.norms), dtype=torch.float64)
    position = trainer.position
    facts = {
        "position": {
            "step": position.step, "epoch": position.epoch, "batch": position.batch, "tokens": position.tokens,
            "seconds": position.seconds, "stepping": position.stepping, "epochs": trainer.epochs,
            "best": asdict(position.best) if position.best else None,
        },
        "optimizer": groups,
        "state": None if trainer.state is None else "tensor" if isinstance(trainer.state, Tensor) else "tuple",
    }  # fmt: skip
    return Checkpoint(tensors, facts)


def restore(trainer: Trainer, checkpoint: Checkpoint) -> None:
    """Put the trainer where `capture` found it. Raises CheckpointError where the tensors are another model's."""
    tensors, facts = checkpoint.tensors, checkpoint.facts
    restore_model(trainer.model, tensors)
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, number, key = name.split(".")
            moments.setdefault(int(number), {})[key] = value
    trainer.optimizer.load_state_dict({"state": moments, "param_groups": facts["optimizer"]})
    parts = tuple(tensors[f"state.{k}"] for k in range(sum(name.startswith("state.") for name in tensors)))
    trainer.state = {None: None, "tensor": parts[0] if parts else None, "tuple": parts}[facts["state"]]
    torch.set_rng_state(tensors["random"])
    position = {name: value for name, value in facts["position"].items() if name not in ("best", "epochs")}
    best = facts["position"]["best"]
    trainer.position = Position(
        **position, best=Best(**best) if best else None, losses=deque(tensors["losses"].tolist())
    )
    trainer.saved_step = trainer.position.step
    trainer.norms.extend(tensors["norms"].tolist())


def restore_model(model: torch.nn.Module, tensors: dict[str, Tensor]) -> None:
    """Load the weights. Raises CheckpointError, naming the parameter, where they do not fit the model."""
    weights = {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
    expected = model.state_dict()
    for name in sorted(expected.keys() | weights.keys()):
        want = tuple(expected[name].shape) if name in expected else "no such parameter"
        got = tuple(weights[name].shape) if name in weights else "none"
        if want != got:
            raise CheckpointError(f"the checkpoint is of another model: {name} must be {want}, got {got}.")
    model.load_state_dict(weights)


def optimiser_parts(optimizer: Optimizer) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """The optimiser's tensors by name, and its groups of settings."""
    content = optimizer.state_dict()
    tensors = {
        f"optimizer.{number}.{key}": value
        for number, moments in content["state"].items()
        for key, value in moments.items()
        if isinstance(value, Tensor)
    }
    return tensors, content["param_groups"]


def state_parts(state: State) -> tuple[Tensor, ...]:
    """The tensors of a recurrent state."""
    if state is None:
        return ()
    return (state,) if isinstance(state, Tensor) else tuple(state)
