from tidegate.train.verdict import Outcome

BASELINE = {"baseline_bpc": 2.77, "baseline_order": 3}


def test_a_model_below_the_bar_beats_it():
    outcome = Outcome(train_bpc=1.9, heldout_bpc=2.2, best_bpc=2.1, best_epoch=8, **BASELINE)
    assert outcome.beats_baseline
    assert not outcome.memorised
    assert outcome.words() == "Beats the order-3 n-gram baseline (2.770 bpc) by 0.670: best held-out 2.100 bpc."


def test_a_model_that_memorised_is_told_so():
    """The textbook's GRU: training perplexity 1.04 (0.06 bpc), held-out perplexity 130 (7 bpc)."""
    outcome = Outcome(train_bpc=0.06, heldout_bpc=7.0, best_bpc=3.0, best_epoch=120, **BASELINE)
    assert outcome.memorised
    assert not outcome.beats_baseline
    assert "Does not beat the order-3 n-gram baseline" in outcome.words()
    assert "it has memorised its training text: train 0.060 bpc, held-out 7.000" in outcome.words()
    assert "best was at epoch 120" in outcome.words()


def test_a_model_can_beat_the_bar_at_its_best_and_have_memorised_at_the_end():
    outcome = Outcome(train_bpc=0.5, heldout_bpc=3.5, best_bpc=2.5, best_epoch=9, **BASELINE)
    assert outcome.beats_baseline
    assert outcome.memorised


def test_a_model_that_learned_too_little_is_not_called_memorised():
    outcome = Outcome(train_bpc=3.3, heldout_bpc=3.4, best_bpc=3.4, best_epoch=1, **BASELINE)
    assert not outcome.memorised
    assert "not memorised" in outcome.words()
