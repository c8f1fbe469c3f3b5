"""The measured sections of docs/findings.md: the commands of each, and the table that is made of their results."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from measured.comparisons import predictor, tables

Found = Mapping[str, Any]  # the content of a compare.json
ALL = (
    "gru,reset-before-gru,reset-only-gru,update-only-gru,lstm,peephole-lstm,"
    "rnn,rnn-relu,residual,residual-sigmoid"
)  # fmt: skip
FOUR = "gru,lstm,rnn,rnn-relu"
ONE_GATE = "gru,reset-only-gru,update-only-gru"
#: Characters of Time Machine; one setting at a time differs from these.
CHARACTERS = "--task text:time-machine --cells gru --match units --seeds 3"


@dataclass(frozen=True)
class Section:
    """commands: the arguments of `tidegate compare`, by the folder of their results.   also: other sections whose
    results the table needs.   table: its lines, from the results in the order of `commands` and `also`."""

    commands: Mapping[str, str]
    table: Callable[[Sequence[Found]], list[str]]
    also: Sequence[str] = ()


SECTIONS: Mapping[str, Section] = {
    "lag": Section(
        {
            "lag": f"--task recall --cells {ALL} --vary length=10,20,50 --vary init=default,chrono --steps 1500 "
            "--rates 0.001,0.003,0.01 --seeds 5"
        },
        tables.by_lag,
    ),
    "counting": Section(
        {"counting": "--task anbncn --param most=30 --cells lstm,gru,rnn,rnn-relu --hidden 10"}, tables.cells
    ),
    "counting-short": Section({"counting-short": f"--task anbn --cells {FOUR}"}, tables.cells),
    "parity": Section({"parity": f"--task parity --param longest=20 --cells {FOUR}"}, tables.cells),
    "adding": Section({"adding": f"--task adding --cells {FOUR}"}, tables.cells),
    "copying": Section({"copying": "--task copy --cells gru,lstm,rnn"}, tables.cells),
    "characters": Section(
        {"characters": "--task text:time-machine --cells gru,lstm,rnn --hidden 128 --batch 32 --steps 600 --seeds 8"},
        tables.cells,
    ),
    "time": Section(
        {
            "time": "--task text:time-machine --cells gru,lstm,rnn --match seconds --hidden 128 --batch 32 --steps 600 "
            "--seeds 8"
        },
        tables.cells,
    ),
    "gates-skip": Section({"gates-skip": f"--task skip --cells {ONE_GATE} --seeds 8"}, tables.cells),
    "gates-break": Section({"gates-break": f"--task break --cells {ONE_GATE} --seeds 8"}, tables.cells),
    "gates-characters": Section(
        {"gates-characters": f"--task text:time-machine --cells {ONE_GATE} --batch 32 --steps 600 --seeds 8"},
        tables.cells,
    ),
    "settings": Section(
        {
            "units": f"{CHARACTERS} --batch 32 --steps 600 --lr 0.003 --param length=35 --vary hidden=32,64,128,256",
            "length": f"{CHARACTERS} --hidden 128 --batch 32 --steps 600 --lr 0.003 --vary length=8,35,70,140",
            "batch": f"{CHARACTERS} --hidden 128 --steps 600 --lr 0.003 --param length=35 --vary batch=8,32,128",
            "rate": f"{CHARACTERS} --hidden 128 --batch 32 --steps 600 --param length=35 "
            "--vary lr=0.0003,0.001,0.003,0.01,0.03",
        },
        tables.settings,
    ),
    "batches": Section(
        {
            "batch-32": f"{CHARACTERS} --optimizer sgd --batch 32 --steps 1600 --vary lr=1",
            "batch-128": f"{CHARACTERS} --optimizer sgd --batch 128 --steps 400 --vary lr=1,2,4",
            "batch-512": f"{CHARACTERS} --optimizer sgd --batch 512 --steps 100 --vary lr=1,4,16",
            "batch-512-long": f"{CHARACTERS} --optimizer sgd --batch 512 --steps 1600 --vary lr=1",
        },
        tables.batches,
    ),
    "clipping": Section(
        {
            "clipping": "--task text:time-machine --cells gru,lstm,rnn,residual --match units --optimizer sgd "
            "--batch 32 --steps 600 --lr 1 --vary clip=0.1,1,10,1000000 --seeds 5"
        },
        tables.clipping,
    ),
    "predictor": Section({}, predictor.table, also=("lag", "adding")),
    "rates": Section(
        {}, tables.rates, also=("lag", "counting", "parity", "adding", "characters", "gates-skip", "gates-break")
    ),
    "published": Section({}, tables.published, also=("adding", "counting", "parity")),
}
