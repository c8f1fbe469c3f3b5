"""The number of threads is the faster one, also on a machine whose speed changes permanently."""

from tidegate.engines.cpu.pace import LATE_CALLS, MOST_SERIAL_CALLS, SERIAL_CALLS, Pace


def calls(pace: Pace, parallel: float, count: int, serial: float = 2.0) -> list[int]:
    """The threads of `count` calls that take these seconds: in parallel, and on one thread."""
    used = []
    for _ in range(count):
        used.append(pace.threads())
        pace.took(used[-1], parallel if used[-1] > 1 else serial)
    return used


def test_calls_without_delay_stay_parallel():
    assert calls(Pace(team=2), 1.0, 50) == [2] * 50


def test_one_slow_call_changes_nothing():
    pace = Pace(team=2)
    assert calls(pace, 1.0, 3) + calls(pace, 9.0, 1) + calls(pace, 1.0, 3) == [2] * 7


def test_after_slow_calls_one_thread_is_used_and_for_longer_each_time():
    pace = Pace(team=2)
    calls(pace, 1.0, 1)
    used = calls(pace, 9.0, LATE_CALLS + SERIAL_CALLS + 1 + 2 * SERIAL_CALLS + 1)
    assert used == [2] * LATE_CALLS + [1] * SERIAL_CALLS + [2] + [1] * 2 * SERIAL_CALLS + [2]
    calls(pace, 9.0, 1000)
    assert pace.stretch == MOST_SERIAL_CALLS


def test_calls_are_parallel_again_when_the_machine_is_idle():
    pace = Pace(team=2)
    calls(pace, 1.0, 1)
    calls(pace, 9.0, 100)
    assert 2 in calls(pace, 1.0, MOST_SERIAL_CALLS + 1)
    assert calls(pace, 1.0, 20) == [2] * 20
    assert pace.stretch == SERIAL_CALLS


def test_a_permanently_slower_machine_is_compared_with_its_current_speed():
    pace = Pace(team=2)
    calls(pace, 1.0, 100)
    used = calls(pace, 5.0, 200, serial=10.0)
    assert used == [2] * LATE_CALLS + [1] * SERIAL_CALLS + [2] * (200 - LATE_CALLS - SERIAL_CALLS)


def test_a_machine_that_is_fast_again_is_compared_with_its_new_speed():
    pace = Pace(team=2)
    calls(pace, 1.0, 10)
    calls(pace, 5.0, 50, serial=10.0)
    calls(pace, 1.0, 10)
    assert calls(pace, 9.0, LATE_CALLS + 1) == [2] * LATE_CALLS + [1]


def test_parallel_calls_end_where_one_thread_was_measured_to_be_faster():
    """Late by what one thread was seen to need, though not by the bound that the fastest parallel call gave."""
    pace = Pace(team=8)
    calls(pace, 1.0, 1, serial=2.0)
    calls(pace, 11.0, LATE_CALLS, serial=2.0)
    calls(pace, 11.0, SERIAL_CALLS, serial=2.0)
    assert calls(pace, 3.0, 2, serial=2.0) == [8, 1]


def test_a_single_thread_is_never_changed():
    assert calls(Pace(team=1), 9.0, 5) == [1] * 5
