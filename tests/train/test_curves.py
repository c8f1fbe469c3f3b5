import matplotlib.image
import numpy as np
import pytest

from tidegate.text import Baseline
from tidegate.train.curves import curves, draw

BASELINE = Baseline(order=4, nats=1.6, bpc=2.3, by_order=(3.0, 1.6))
TRAIN = [{"kind": "train", "step": k, "epochs": k / 10, "train_bpc": 3 - k / 10} for k in range(10)]
HELDOUT = [{"kind": "evaluation", "step": k, "epochs": k / 10, "heldout_bpc": 3.2 - k / 12} for k in (3, 6, 9)]
BLUE, ORANGE = (0, 0x72, 0xB2), (0xD5, 0x5E, 0)


def lines(records):
    """(x, y) of each line that the figure draws, by its label."""
    axes = curves(records, BASELINE, title="gru on cats").axes[0]
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines}


def test_each_curve_has_the_records_of_its_own_kind():
    damaged = [{"kind": "train", "step": 3}, {"kind": "evaluation", "epochs": 0.4}, {"kind": "note", "epochs": 1.0}]
    damaged += [{"kind": "train", "epochs": "x", "train_bpc": 1.0}, {"kind": "train", "epochs": 1.0, "train_bpc": None}]
    drawn = lines([*TRAIN, *damaged, *HELDOUT])
    assert drawn["train"] == ([k / 10 for k in range(10)], [3 - k / 10 for k in range(10)])
    assert drawn["held-out"] == ([0.3, 0.6, 0.9], [3.2 - k / 12 for k in (3, 6, 9)])
    assert drawn["n-gram baseline (order 4)"][1] == [2.3, 2.3]


def test_axes_title_and_legend_name_what_is_drawn():
    axes = curves([*TRAIN, *HELDOUT], BASELINE, title="gru on cats").axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("epochs", "bits per character", "gru on cats")
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["train", "held-out", "n-gram baseline (order 4)"]


def test_every_held_out_figure_and_the_baseline_lie_inside_the_frame():
    low, high = curves([*TRAIN, *HELDOUT], BASELINE, title="").axes[0].get_ylim()
    assert low < min(2.3, 3 - 0.9)
    assert high > max(3.2 - 3 / 12, 2.3)


def test_the_png_file_shows_both_curves(tmp_path):
    def coloured(records, colour):
        draw(tmp_path / "curves.png", records, BASELINE, title="gru on cats")
        pixels = np.rint(matplotlib.image.imread(tmp_path / "curves.png")[..., :3] * 255)
        return int((np.abs(pixels - colour).max(-1) < 8).sum())

    legend = coloured([], BLUE), coloured([], ORANGE)
    assert coloured([*TRAIN, *HELDOUT], BLUE) > 3 * legend[0]
    assert coloured([*TRAIN, *HELDOUT], ORANGE) > 3 * legend[1]


@pytest.mark.parametrize("records", [[], TRAIN[:1], HELDOUT[:1]])
def test_the_curves_of_a_run_of_one_step_or_none_are_drawn(tmp_path, records):
    draw(tmp_path / "curves.png", records, BASELINE, title="gru on cats")
    assert matplotlib.image.imread(tmp_path / "curves.png").shape == (600, 1050, 4)
