"""The engine under concurrent load, for any length of time: random calls, threads, forks, and guarded memory.

`python -m tests.engines.cpu.stress [--minutes 3] [--seed 0] [--round N]`

A round sets a number of threads and a limit of the memory pool, and lets one to four callers run calls of the same and
of different layers at the same time, each twice, while children are forked and pooled memory is released. Every result
is compared with the float64 reference, and, bit by bit, with the same call repeated, in a forked child with another
number of threads, and alone with another number of threads; the forward pass also with the same sequences alone or in a
smaller batch. After a round no memory may be in use. The seed and the number of a round determine everything in it, so
`--round` repeats one.
"""

import argparse
import faulthandler
import gc
import hashlib
import os
import sys
import threading
import time
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
from tests.engines.cpu.calls import outputs
from tests.engines.cpu.memory import fenced_take, poisoned
from tests.engines.cpu.trials import Trial, draw
from torch import Tensor

import tidegate
from tidegate.engines import cpu
from tidegate.engines.cpu import team, workspace

#: Largest errors of results and of gradients.
BOUNDS = {torch.float32: (1e-6, 1e-5), torch.float64: (1e-11, 1e-11)}
#: A residual map amplifies errors: there they may be so many times those of torch's own operations.
NEAR_EAGER = 4.0
#: Seconds after which a forked child is assumed to hang.
CHILD_SECONDS = 30
LIMITS = (0, 1 << 20, 1 << 25, workspace.LIMIT)


@dataclass
class Findings:
    calls: Counter[str] = field(default_factory=Counter)
    worst: dict[str, tuple[float, str]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def note(self, kind: str, error: float, what: str) -> None:
        if error > self.worst.get(kind, (-1.0, ""))[0]:
            self.worst[kind] = error, what

    def __str__(self) -> str:
        calls = ", ".join(f"{n} {kind}" for kind, n in self.calls.items())
        worst = [f"worst {kind}: {error:.2g} ({what})" for kind, (error, what) in sorted(self.worst.items())]
        return "\n".join([f"calls: {calls}", *worst, f"{len(self.wrong)} wrong", *self.wrong])


def one_round(seed: int, number: int, findings: Findings) -> None:
    random = np.random.default_rng((seed, number))
    threads = int(random.integers(1, 5))
    torch.set_num_threads(threads)
    tidegate.memory.set_limit(int(random.choice(LIMITS)))
    with poisoned(fenced_take if random.random() < 0.3 else workspace.take):
        trials = [draw(random)]
        for _ in range(int(random.integers(0, 4))):
            again = random.random()
            trials.append(trials[0] if again < 0.2 else draw(random, trials[0] if again < 0.5 else None))
        found: list[list[dict[str, Tensor]]] = [[] for _ in trials]
        callers = [threading.Thread(target=_call_twice, args=each) for each in zip(trials, found)]
        for caller in callers:
            caller.start()
        chosen = [i for i in range(len(trials)) if random.random() < 0.15]
        children = {i: (_fork if random.random() < 0.7 else _fork_in_a_thread)(trials[i]) for i in chosen}
        for _ in range(int(random.integers(0, 4))):
            workspace.release()
            time.sleep(0.001)
        for caller in callers:
            caller.join()
        torch.set_num_threads(1 + (threads + int(random.integers(3))) % 4)
        for i, (trial, results) in enumerate(zip(trials, found)):
            wrong = list(_check(random, trial, results, findings))
            if i in children and results and (said := _said(*children[i])) != digest(results[0]):
                wrong.append(f"a forked child gave {said}")
            findings.calls["in a forked child"] += i in children
            findings.wrong += [f"--seed {seed} --round {number}: {w}: {trial}, {threads} threads" for w in wrong]


def _call_twice(trial: Trial, found: list[dict[str, Tensor]]) -> None:
    for _ in range(2):
        found.append(trial.run())


def _check(random: np.random.Generator, trial: Trial, found: list[dict[str, Tensor]], findings: Findings):
    """What is wrong with the results of a trial, which is repeated with the number of threads that is set now."""
    findings.calls["among others"] += len(found)
    if len(found) < 2:
        yield "a caller died"
        return
    again = trial.run()
    findings.calls["alone"] += 1
    for what, first in found[0].items():
        if not same_bits(first, found[1][what]):
            yield f"{what} repeated has other bits"
        if not same_bits(first, again[what]):
            yield f"{what} with {torch.get_num_threads()} threads has other bits"
    yield from _beyond_bounds(trial, found[0], findings)
    B = trial.call.B
    for rows in ([int(random.integers(B))], sorted(random.permutation(B)[: random.integers(1, B + 1)].tolist())):
        for training in (False, True):
            with torch.set_grad_enabled(training):
                few = outputs(cpu.run(trial.alone(rows)))
            findings.calls["of some sequences"] += 1
            for what, y in few.items():
                axis = 0 if what.startswith("final") else 1
                if not same_bits(y, found[0][what].index_select(axis, torch.tensor(rows))):
                    yield f"{what} of {len(rows)} of the sequences has other bits, training={training}"


def _beyond_bounds(trial: Trial, got: dict[str, Tensor], findings: Findings):
    dtype = trial.call.weights.w_hh.dtype
    beyond: dict[str, float] = {}
    for what, error in trial.errors(got).items():
        gradient = what.startswith("d ")
        kind = "residual " * ("residual" in trial.name) + str(dtype)[6:] + (" gradient" if gradient else " result")
        findings.note(kind, error, f"{what}: {trial}")
        if not error <= BOUNDS[dtype][gradient]:
            beyond[what] = error
    if beyond and "residual" in trial.name:
        eager = trial.errors_of_eager()
        beyond = {what: error for what, error in beyond.items() if not error <= NEAR_EAGER * eager[what]}
    for what, error in beyond.items():
        yield f"{what} is {error:.2g} from the reference"


def same_bits(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and a.detach().numpy().tobytes() == b.detach().numpy().tobytes()


def digest(results: dict[str, Tensor]) -> str:
    return hashlib.sha256(b"".join(t.detach().numpy().tobytes() for t in results.values())).hexdigest()


def _fork(trial: Trial) -> tuple[int, int]:
    """A child process that runs the trial with another number of threads and writes the digest of its results: its
    number, and the descriptor to read from."""
    out, into = os.pipe()
    child = os.fork()
    if child:
        os.close(into)
        return child, out
    try:
        # A child that waits for a thread or a lock of its parent writes a traceback and ends.
        faulthandler.dump_traceback_later(CHILD_SECONDS, exit=True, file=into)
        inherited = torch.get_num_threads()
        torch.set_num_threads(1 + inherited % 4)
        said = digest(trial.run()) if team.threads() == 1 + inherited % 4 else f"{team.threads()} threads"
        os.write(into, said.encode())
    except Exception:  # the child reports any of them through the pipe, where its traceback is a finding
        os.write(into, traceback.format_exc().encode())
    finally:
        os._exit(0)


def _fork_in_a_thread(trial: Trial) -> tuple[int, int]:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(_fork, trial).result()


def _said(child: int, out: int) -> str:
    with os.fdopen(out) as pipe:
        text = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return text if status == 0 else f"{text}, exit status {status}"


def run(seed: int, rounds) -> Findings:
    """Run the rounds with these numbers."""
    findings = Findings()
    # torch imports modules at the first gradient; a child forked while another thread imports could not import them.
    x = torch.ones(1, requires_grad=True)
    torch.autograd.grad(x * x, x, torch.ones(1))
    gc.collect()
    limit, before = tidegate.memory.usage().limit, tidegate.memory.usage().in_use
    try:
        for number in rounds:
            one_round(seed, number, findings)
            gc.collect()
            used = tidegate.memory.usage().in_use
            if used != before:
                findings.wrong.append(f"--seed {seed} --round {number}: {used - before} bytes are still in use")
    finally:
        tidegate.memory.set_limit(limit)
    return findings


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.engines.cpu.stress", description="Stress the CPU engine.")
    parser.add_argument("--minutes", type=float, default=3.0, help="duration (3 by default)")
    parser.add_argument("--seed", type=int, default=0, help="seed of all random numbers (0 by default)")
    parser.add_argument("--round", type=int, help="run this round only")
    chosen = parser.parse_args()
    faulthandler.enable()
    end = time.monotonic() + 60 * chosen.minutes

    def until_the_end():
        number = 0
        while time.monotonic() < end:
            print(f"\rround {number}", end="", file=sys.stderr, flush=True)
            yield number
            number += 1

    findings = run(chosen.seed, until_the_end() if chosen.round is None else [chosen.round])
    print(f"\n{findings}")
    sys.exit(bool(findings.wrong))


if __name__ == "__main__":
    main()
