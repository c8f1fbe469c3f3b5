import io

import pytest
from rich.console import Console
from rich.text import Text

from tidegate.report.comparison import LiveTable
from tidegate.train.status import Status


class Closing(io.StringIO):
    """A terminal that is closed at some time."""

    closes = False

    def write(self, text):
        if self.closes:
            raise OSError(5, "Input/output error")
        return super().write(text)


@pytest.mark.parametrize("show", [LiveTable, lambda console: Status(console, "char")], ids=["comparison", "training"])
def test_a_terminal_that_was_closed_does_not_end_a_command_with_an_error(show):
    out = Closing()
    with show(Console(file=out, force_terminal=True, width=60)) as shown:
        shown.live.update(Text("at work"), refresh=True)
        assert "at work" in out.getvalue()
        out.closes = True
    with pytest.raises(OSError, match="Input/output"):
        out.write("x")
