"""Runner: runs the jobs of a comparison that have no result yet."""

from collections.abc import Mapping, Sequence

from tidegate.comparing.arm import Arm
from tidegate.comparing.job import Job
from tidegate.comparing.outcome import Outcome
from tidegate.comparing.progress import Progress
from tidegate.comparing.rates import Rate, choose
from tidegate.comparing.side_by_side import run_all
from tidegate.comparing.store import Store


class Runner:
    """Runs the jobs of a comparison that have no result yet, and reports each as it ends."""

    def __init__(self, store: Store, progress: Progress, workers: int | None) -> None:
        self.store, self.progress, self.workers = store, progress, workers

    def rates(self, arms: Sequence[Arm], rates: Sequence[float], seeds: Sequence[int]) -> list[Rate]:
        """The learning rate of each arm."""
        if not rates:
            return [Rate(rate=float(arm.settings.lr or 0.0)) for arm in arms]
        asked = {(k, rate, seed): arm.job(seed, rate) for k, arm in enumerate(arms) for rate in rates for seed in seeds}
        found = self.run(arms, asked, tuning=True)
        chosen = []
        for k, arm in enumerate(arms):
            runs = [[found[k, rate, seed] for seed in seeds] for rate in rates]
            chosen.append(choose(arm.task.heldout(), rates, runs, arm.settings.steps))
        return chosen

    def report(self, arms: Sequence[Arm], rates: Sequence[Rate], seeds: Sequence[int]) -> list[list[Outcome]]:
        """The outcomes of each arm for all seeds."""
        pairs = enumerate(zip(arms, rates))
        asked = {(k, rate.rate, seed): arm.job(seed, rate.rate) for k, (arm, rate) in pairs for seed in seeds}
        found = self.run(arms, asked, tuning=False)
        return [[found[k, rate.rate, seed] for seed in seeds] for k, rate in enumerate(rates)]

    def run(
        self, arms: Sequence[Arm], asked: Mapping[tuple[int, float, int], Job], *, tuning: bool
    ) -> dict[tuple[int, float, int], Outcome]:
        """The outcome of every job; (number of the arm, rate, seed) is its label."""
        found: dict[tuple[int, float, int], Outcome] = {}
        for label, job in asked.items():
            known = self.store.find(job)
            if known is not None:
                found[label] = known
                self.progress.ended(arms[label[0]], known, tuning=tuning, stored=True)
        rest = [(label, job) for label, job in asked.items() if label not in found]
        for label, content in run_all(rest, self.workers):
            found[label] = self.store.keep(asked[label], content)
            self.progress.ended(arms[label[0]], found[label], tuning=tuning, stored=False)
        return found
