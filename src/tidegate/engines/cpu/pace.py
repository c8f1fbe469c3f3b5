"""Adaptive thread count: parallel or on one thread, whichever was faster.

A thread at a barrier waits for the slowest thread of the team. Where other programs use the cores, each barrier takes
milliseconds, until the scheduler has run every thread, and one thread alone is faster.
Results have the same bits for any number of threads, so the number may change from call to call.
"""

from dataclasses import dataclass

#: A parallel call is late when it takes longer than this multiple of the time of one thread.
LATE = 1.25
#: Late calls in a row after which calls run on one thread; the number of those calls, initially and at most.
LATE_CALLS, SERIAL_CALLS, MOST_SERIAL_CALLS = 2, 4, 64


@dataclass
class Pace:
    """The number of threads of the next call of one shape, from the times of the last ones.

    After LATE_CALLS late calls in a row, `left` calls run on one thread; then the team of threads is tried again. If
    it is late again the number of calls on one thread, `stretch`, doubles; if it is not, `stretch` is reset.

    `serial` estimates the time of one thread: the fastest call of the last stretch on one thread, and at most `team`
    times the fastest parallel call since, as speed-up is at most linear. It is reset before each stretch, so the
    estimate follows a machine that has become slower permanently.
    """

    team: int
    serial: float = float("inf")
    late: int = 0
    stretch: int = SERIAL_CALLS
    left: int = 0

    def threads(self) -> int:
        return 1 if self.left else self.team

    def took(self, threads: int, seconds: float) -> None:
        """Record the time of a call."""
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
