"""Adaptive thread count: parallel or on one thread, whichever was faster.

A thread at a barrier waits until the slowest of the team has arrived. Where other programs use the cores, that takes
until the scheduler has given every thread its turn, milliseconds for each barrier, and one thread alone is faster.
Results have the same bits for any number of threads, so the number may change from call to call.
"""

from dataclasses import dataclass

#: A parallel call is late when it takes so many times what one thread needs.
LATE = 1.25
#: Late calls in a row after which calls run on one thread, and for how many calls: at first, and at most.
LATE_CALLS, SERIAL_CALLS, MOST_SERIAL_CALLS = 2, 4, 64


@dataclass
class Pace:
    """The number of threads of the next call of one shape, from how long the last ones took.

    After LATE_CALLS late calls in a row, `left` calls run on one thread; then the team of threads is tried again. The
    stretch on one thread doubles each time that the team is late again, and is short again once it is in time.

    `serial` is what one thread is assumed to need. On one thread it is measured: it is the fastest call of the last
    stretch. A parallel call, which cannot be faster than an equal share for each thread, gives a bound. Each stretch
    measures anew, so a machine that has become slower for good is judged by what it does now.
    """

    team: int
    serial: float = float("inf")
    late: int = 0
    stretch: int = SERIAL_CALLS
    left: int = 0

    def threads(self) -> int:
        return 1 if self.left else self.team

    def took(self, threads: int, seconds: float) -> None:
        """Note the time of a call."""
        if threads == 1:
            self.serial = min(self.serial, seconds)
            self.left = max(0, self.left - 1)
            return
        self.serial = min(self.serial, self.team * seconds)
        if seconds <= LATE * self.serial:
            self.late, self.stretch = 0, SERIAL_CALLS
            return
        self.late += 1
        if self.late >= LATE_CALLS:
            self.left, self.stretch = self.stretch, min(2 * self.stretch, MOST_SERIAL_CALLS)
            self.late, self.serial = LATE_CALLS - 1, float("inf")
