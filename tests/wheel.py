"""Build the wheel, install it in an environment of its own, and train a step there: `make wheel`.

The environment finds the dependencies in the one that runs this file, through a line of a .pth file, so that none is
installed twice; Tidegate itself comes from the wheel.
"""

import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]

TRAIN = """
import sys
from pathlib import Path

import tidegate
import torch

assert Path(tidegate.__file__).is_relative_to(sys.prefix), tidegate.__file__
torch.manual_seed(0)
layer, head = tidegate.GRU(8, 16), torch.nn.Linear(16, 8)
optimiser = torch.optim.Adam([*layer.parameters(), *head.parameters()], 0.01)
x = torch.randint(8, (20, 4))
losses = []
for _ in range(3):
    loss = torch.nn.functional.cross_entropy(head(layer(x)[0][:-1]).flatten(0, 1), x[1:].flatten())
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    losses.append(loss.item())
assert losses[2] < losses[1] < losses[0], losses
engine = next(verdict.engine for verdict in tidegate.why(layer, x) if verdict.chosen)
print(f"tidegate {tidegate.__version__} from its wheel, engine {engine}: loss", *(f"{loss:.4f}" for loss in losses))
"""


def run(*command: object, **environment: str) -> None:
    subprocess.run([str(part) for part in command], check=True, cwd=ROOT, env={**os.environ, **environment})


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", at, ROOT)
        (wheel,) = at.glob("tidegate-*.whl")
        check_files(wheel)
        venv.create(at / "venv", symlinks=True)
        paths = {"base": str(at / "venv"), "platbase": str(at / "venv")}
        commands, own = (Path(sysconfig.get_path(kind, "venv", paths)) for kind in ("scripts", "purelib"))
        python = commands / Path(sys.executable).name
        run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", wheel)
        (own / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
        run(sys.executable, "-m", "pip", "--python", python, "check")
        alone = {"PYTHONPATH": "", "XDG_CACHE_HOME": str(at / "cache")}
        run(python, "-c", TRAIN, **alone)
        run(commands / "tidegate", "--version", **alone)
        run(commands / "tidegate", "kernels", "--cell", "rnn", **alone)


def check_files(wheel: Path) -> None:
    """Every file of the package is in the wheel, and no other folder."""
    files = (p for p in (ROOT / "src").rglob("*") if p.is_file() and p.suffix != ".pyc")
    source = {p.relative_to(ROOT / "src").as_posix() for p in files}
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    if source - inside or {name.partition("/")[0] for name in inside} != {"tidegate"}:
        sys.exit(f"the wheel lacks {sorted(source - inside)} and has {sorted(inside - source)}")


if __name__ == "__main__":
    main()
