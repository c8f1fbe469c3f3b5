from tidegate.train.verdict import Outcome


def outcome(**figures):
    """The outcome of a run of 12 epochs with dropout 0.1 against an order-3 baseline of 2.77 bpc."""
    usual = {"epochs": 12.0, "baseline_bpc": 2.77, "baseline_order": 3, "dropout": 0.1}
    return Outcome(**usual | figures)


def test_a_model_below_the_baseline_beats_it():
    found = outcome(train_bpc=1.9, heldout_bpc=2.11, best_bpc=2.1, best_epoch=8)
    assert found.beats_baseline
    assert not found.memorised
    assert not found.overfitted
    assert found.words() == (
        "Beats the order-3 n-gram baseline (2.770 bpc) by 0.670: best held-out 2.100 bpc. It has not overfitted."
    )


def test_a_model_at_its_best_at_the_end_is_advised_a_longer_run():
    found = outcome(train_bpc=1.9, heldout_bpc=2.1, best_bpc=2.1, best_epoch=12)
    assert found.words().endswith("at its best at the end, so a longer run may lower it.")


def test_overfitting_is_described_with_its_figures_and_what_to_try():
    found = outcome(train_bpc=1.2, heldout_bpc=2.4, best_bpc=2.1, best_epoch=4.2)
    assert found.overfitted
    assert not found.memorised
    assert (
        "It overfitted: the held-out text was best at epoch 4.2 with 2.100 bpc and ended at epoch 12 with 2.400, 0.300 "
        "worse, while the training text fell to 1.200. best.safetensors holds the best weights. Try --epochs 5, "
        "--dropout 0.3 (it was 0.1), fewer --hidden units, or more text."
    ) in found.words()


def test_the_advice_leaves_out_what_cannot_help():
    """Fewer epochs where the best came in the last one, more dropout where there is much already."""
    words = outcome(train_bpc=1.2, heldout_bpc=2.4, best_bpc=2.1, best_epoch=11.5, dropout=0.5).words()
    assert "Try fewer --hidden units, or more text." in words


def test_a_rise_within_noise_or_below_the_training_text_is_no_overfitting():
    assert not outcome(train_bpc=1.2, heldout_bpc=2.115, best_bpc=2.1, best_epoch=4).overfitted
    assert not outcome(train_bpc=2.6, heldout_bpc=2.4, best_bpc=2.1, best_epoch=4).overfitted


def test_a_model_that_memorised_is_reported():
    """The textbook's GRU: training perplexity 1.04 (0.06 bpc), held-out perplexity 130 (7 bpc)."""
    found = outcome(train_bpc=0.06, heldout_bpc=7.0, best_bpc=3.0, best_epoch=120, epochs=500.0, dropout=0.0)
    assert found.memorised
    assert not found.beats_baseline
    words = found.words()
    assert "Does not beat the order-3 n-gram baseline" in words
    assert "It overfitted: the held-out text was best at epoch 120 with 3.000 bpc" in words
    assert "It has memorised its training text: 0.060 bpc there, 7.000 held out." in words
    assert "Try --epochs 120, --dropout 0.2 (it was 0)" in words


def test_a_model_that_memorised_before_its_first_evaluation_is_reported_too():
    found = outcome(train_bpc=0.06, heldout_bpc=7.0, best_bpc=7.0, best_epoch=12)
    assert found.memorised
    assert not found.overfitted
    assert "It has memorised" in found.words()


def test_a_model_can_beat_the_baseline_at_its_best_and_have_memorised_at_the_end():
    found = outcome(train_bpc=0.5, heldout_bpc=3.5, best_bpc=2.5, best_epoch=9)
    assert found.beats_baseline
    assert found.memorised


def test_a_model_that_learned_too_little_is_advised_to_learn_more():
    found = outcome(train_bpc=3.3, heldout_bpc=3.4, best_bpc=3.4, best_epoch=1)
    assert not found.memorised
    assert "It has not overfitted: try more --epochs, more --hidden units" in found.words()
