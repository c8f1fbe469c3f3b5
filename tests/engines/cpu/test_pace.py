"""The team rests while the machine is busy, and comes back."""

from tidegate.engines.cpu.pace import LONG_REST, PATIENCE, SHORT_REST, Pace


def calls(pace: Pace, seconds_of_team: float, count: int) -> list[int]:
    """The threads of `count` calls whose team takes so long."""
    used = []
    for _ in range(count):
        used.append(pace.threads())
        pace.took(used[-1], seconds_of_team if used[-1] > 1 else 2.0)
    return used


def test_a_team_in_time_never_rests():
    assert calls(Pace(team=2), 1.0, 50) == [2] * 50


def test_one_late_call_is_forgiven():
    pace = Pace(team=2)
    assert calls(pace, 1.0, 3) + calls(pace, 9.0, 1) + calls(pace, 1.0, 3) == [2] * 7


def test_the_team_rests_when_it_is_late_and_longer_each_time():
    pace = Pace(team=2)
    calls(pace, 1.0, 1)
    used = calls(pace, 9.0, PATIENCE + SHORT_REST + 1 + 2 * SHORT_REST + 1)
    assert used == [2] * PATIENCE + [1] * SHORT_REST + [2] + [1] * 2 * SHORT_REST + [2]
    calls(pace, 9.0, 1000)
    assert pace.rest == LONG_REST


def test_the_team_comes_back_when_the_machine_is_quiet():
    pace = Pace(team=2)
    calls(pace, 1.0, 1)
    calls(pace, 9.0, 100)
    assert 2 in calls(pace, 1.0, LONG_REST + 1)
    assert calls(pace, 1.0, 20) == [2] * 20
    assert pace.rest == SHORT_REST


def test_a_single_thread_is_left_as_it_is():
    assert calls(Pace(team=1), 9.0, 5) == [1] * 5
