"""Prepared weights: packed for the forward kernel once, apart from running it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidegate.engines.cpu import workspace
from tidegate.errors import EngineError

if TYPE_CHECKING:
    from tidegate.engines.cpu.launch_plan import LaunchPlan, PackedForm


@dataclass(frozen=True, eq=False)
class Prepared:
    """Weights as the forward kernel reads them; `form` identifies the kernels that can. Made by `launch.prepare`."""

    form: PackedForm | None
    memory: workspace.Memory

    @classmethod
    def empty(cls, plan: LaunchPlan) -> Prepared:
        """Memory for the packed weights of a plan, not filled yet."""
        return cls(plan.packed_form, workspace.Memory(plan.packed.size))

    def check(self, plan: LaunchPlan) -> None:
        """EngineError unless the kernel of the plan reads weights in this form."""
        if self.form != plan.packed_form:
            raise EngineError(
                f"the prepared weights are for {self.form}, and the call needs {plan.packed_form}: "
                "prepare the weights again for this kind of call."
            )
