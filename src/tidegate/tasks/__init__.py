"""Synthetic tasks: unlimited seeded sequences; the score of a constant guess and the best possible score of each."""

from tidegate.tasks.adding import Adding
from tidegate.tasks.associative import AssociativeRecall
from tidegate.tasks.batch import Batch
from tidegate.tasks.breaks import Break
from tidegate.tasks.copying import Copy, SelectiveCopy
from tidegate.tasks.counting import AnBn, AnBnCn
from tidegate.tasks.digits import Digits
from tidegate.tasks.dyck import Dyck
from tidegate.tasks.find import TASKS, find_task
from tidegate.tasks.holding import DelayedMatch, FlipFlop
from tidegate.tasks.language import Language
from tidegate.tasks.order import TemporalOrder
from tidegate.tasks.parity import Parity
from tidegate.tasks.recall import OnlyAt, Recall
from tidegate.tasks.skip import Skip
from tidegate.tasks.task import Task
from tidegate.text import IGNORE

__all__ = [
    "IGNORE",
    "TASKS",
    "Adding",
    "AnBn",
    "AnBnCn",
    "AssociativeRecall",
    "Batch",
    "Break",
    "Copy",
    "DelayedMatch",
    "Digits",
    "Dyck",
    "FlipFlop",
    "Language",
    "OnlyAt",
    "Parity",
    "Recall",
    "SelectiveCopy",
    "Skip",
    "Task",
    "TemporalOrder",
    "find_task",
]
