import io

import pytest
from rich.console import Console
from rich.text import Text

from tidegate.report.comparison import LiveTable
from tidegate.train.status import Figures, Status


class Closing(io.StringIO):
    """A terminal that is closed at some time."""

    closes = False

    def write(self, text):
        if self.closes:
            raise OSError(5, "Input/output error")
        return super().write(text)

    def isatty(self):
        return not self.closes


@pytest.mark.parametrize("show", [LiveTable, lambda console: Status(console, "char")], ids=["comparison", "training"])
def test_a_terminal_that_was_closed_does_not_end_a_command_with_an_error(show):
    out = Closing()
    with show(Console(file=out, force_terminal=True, width=60)) as shown:
        shown.live.update(Text("at work"), refresh=True)
        assert "at work" in out.getvalue()
        out.closes = True
    with pytest.raises(OSError, match="Input/output"):
        out.write("x")


def figures() -> Figures:
    return Figures(0.5, 1.0, 10, 2.0, 1.0, 10, 3.0, 1.5, 100.0, 1.0, 0.0, 0.1, 60.0)


def test_training_goes_on_after_its_terminal_was_closed(tmp_path):
    """Until it handles the signal, it writes to the terminal from time to time."""
    out = Closing()
    with Status(Console(file=out, width=60), "char") as status:
        assert status.live
        out.closes = True
        status.begin("a headline", tmp_path)
        status.figures(figures())
        status.evaluation(figures(), best=True, sample="a sample")
    out = Closing()
    status = Status(Console(file=out, width=60), "char")
    out.closes = True
    with status:
        status.say("at work")


def test_a_file_that_cannot_be_written_is_an_error():
    out = Closing()
    out.closes = True
    with (
        Status(Console(file=out, force_terminal=False), "char") as status,
        pytest.raises(OSError, match="Input/output"),
    ):
        status.evaluation(figures(), best=False, sample="a sample")
