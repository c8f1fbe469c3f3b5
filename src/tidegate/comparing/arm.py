"""Arm: one cell with one setting of everything that is varied; it is trained with every seed."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tidegate.calculus import Step, serial
from tidegate.comparing.job import GivenTask, Job, NamedTask, task_facts
from tidegate.comparing.network import recurrent_weights
from tidegate.comparing.settings import Settings
from tidegate.tasks import Task


@dataclass(frozen=True)
class Arm:
    """cell: its name.   varied: the values of what is varied, settings or parameters of the task, by name.
    settings: all settings, `hidden` as it was chosen for this cell; `lr` is None until it is chosen.
    step_seconds: the measured seconds of a training step, where training time is matched."""

    cell: str
    step: Step
    source: NamedTask | GivenTask
    settings: Settings
    varied: Mapping[str, Any]
    step_seconds: float | None = None

    @property
    def label(self) -> str:
        return ", ".join([self.cell, *(f"{name} {value}" for name, value in self.varied.items())])

    @cached_property
    def task(self) -> Task:
        return self.source.make()

    @property
    def weights(self) -> int:
        """The parameters of the recurrent layers."""
        return recurrent_weights(self.step, self.task.input_size, self.settings.hidden, self.settings.layers)

    def job(self, seed: int, lr: float) -> Job:
        own = self.settings
        return Job(
            self.source, self.facts, self.equations, seed, own.hidden, own.layers, own.init, own.batch, own.steps,
            own.optimizer, lr, own.clip, own.interval, own.eval_size,
        )  # fmt: skip

    @cached_property
    def facts(self) -> str:
        return task_facts(self.task)

    @cached_property
    def equations(self) -> str:
        return serial.dumps(self.step)


def differ_in(a: Arm, b: Arm) -> list[str]:
    """What two arms differ in: "cell", and the names of varied values."""
    return ["cell"] * (a.cell != b.cell) + [name for name in a.varied if a.varied[name] != b.varied[name]]
