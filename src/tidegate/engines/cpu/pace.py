"""Whether the team is worth its meetings: on a machine that others keep busy, one thread is faster than a waiting team.

A thread that meets its team waits until the slowest has had its turn on a core, milliseconds for every meeting. Results
have the same bits for any number of threads, so the number may follow the machine.
"""

from dataclasses import dataclass

#: A call is late when it takes so many times what one thread alone would need, by the best time of the team.
LATE = 1.25
#: Late calls in a row after which the team rests, for how many calls at first, and at most.
PATIENCE, SHORT_REST, LONG_REST = 2, 4, 64


@dataclass
class Pace:
    """The threads of the next call of one shape, from how long the last ones took.

    The team rests after PATIENCE late calls in a row and is tried again after its rest, which doubles each time that
    it is still late and is short again once it is in time.
    """

    team: int
    best: float = float("inf")
    late: int = 0
    rest: int = SHORT_REST
    left: int = 0

    def threads(self) -> int:
        return 1 if self.left else self.team

    def took(self, threads: int, seconds: float) -> None:
        """Note the time of a call."""
        if threads == 1:
            self.left = max(0, self.left - 1)
            return
        self.best = min(self.best, seconds)
        if seconds <= LATE * self.team * self.best:
            self.late, self.rest = 0, SHORT_REST
            return
        self.late += 1
        if self.late >= PATIENCE:
            self.left, self.rest = self.rest, min(2 * self.rest, LONG_REST)
            self.late = PATIENCE - 1
