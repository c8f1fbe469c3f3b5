from tidegate.train import curves


def test_the_curves_are_a_picture(tmp_path):
    records = [{"kind": "train", "step": k, "epochs": k / 10, "train_bpc": 3 - k / 10} for k in range(10)]
    records += [{"kind": "evaluation", "step": k, "epochs": k / 10, "heldout_bpc": 3.2 - k / 12} for k in (3, 6, 9)]
    path = tmp_path / "curves.png"
    curves.draw(path, records, title="gru on cats", ngram_bpc=2.3, ngram_order=4)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 10_000


def test_a_run_of_one_step_has_a_picture_too(tmp_path):
    curves.draw(tmp_path / "curves.png", [], title="gru on cats", ngram_bpc=2.3, ngram_order=4)
    assert (tmp_path / "curves.png").is_file()
