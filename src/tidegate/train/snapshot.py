"""Save a trainer in a checkpoint and restore it. On the same device the run has the same bits as without a stop."""

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from tidegate.errors import CheckpointError
from tidegate.train.checkpoint import Checkpoint
from tidegate.train.loop import Trainer
from tidegate.train.model import State, load_weights, model_weights, weight_tensors
from tidegate.train.position import Best, Position


def capture(trainer: Trainer) -> Checkpoint:
    """Everything that the next step of the trainer depends on, except the recipe and the text."""
    tensors = weight_tensors(trainer.model)
    moments, groups = optimiser_parts(trainer.optimizer)
    tensors |= moments
    tensors |= {f"state.{k}": part.clone() for k, part in enumerate(state_parts(trainer.state))}
    tensors["random"] = torch.get_rng_state()
    if trainer.device.type == "cuda":
        tensors["random_cuda"] = torch.cuda.get_rng_state(trainer.device)
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
    """Restore what `capture` recorded, on the trainer's own device.

    Raises CheckpointError where the tensors belong to another model, or are not those that `capture` writes.
    """
    load_weights(trainer.model, model_weights(checkpoint.tensors))
    try:
        restore_rest(trainer, checkpoint.tensors, checkpoint.facts)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise CheckpointError(
            f"the checkpoint cannot be continued: its optimiser, state or position is not valid "
            f"({type(error).__name__}: {error}). Try the other --checkpoint, last or best, or train again."
        ) from error


def restore_rest(trainer: Trainer, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Restore the optimiser, the recurrent state, the random generators and the position."""
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, number, key = name.split(".")
            moments.setdefault(int(number), {})[key] = value
    own = trainer.optimizer.param_groups[0]["fused"]  # another device may have no fused update
    trainer.optimizer.load_state_dict({"state": moments, "param_groups": facts["optimizer"]})
    for group in trainer.optimizer.param_groups:
        group["fused"] = own
    count = sum(name.startswith("state.") for name in tensors)
    parts = tuple(tensors[f"state.{k}"].to(trainer.device) for k in range(count))
    trainer.state = {None: None, "tensor": parts[0] if parts else None, "tuple": parts}[facts["state"]]
    torch.set_rng_state(tensors["random"])
    if trainer.device.type == "cuda" and "random_cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random_cuda"], trainer.device)
    position = {name: value for name, value in facts["position"].items() if name not in ("best", "epochs")}
    best = facts["position"]["best"]
    trainer.position = Position(
        **position, best=Best(**best) if best else None, losses=deque(tensors["losses"].tolist())
    )
    trainer.saved_step = trainer.position.step
    trainer.norms.extend(tensors["norms"].tolist())


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
