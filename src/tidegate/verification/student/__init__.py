"""A student's gradients, compared with the right ones; and the mistake that leads to the same wrong numbers."""

from tidegate.verification.student.judge import judge
from tidegate.verification.student.judgement import Judgement

__all__ = ["Judgement", "judge"]
