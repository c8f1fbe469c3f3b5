def test_a_sample_continues_the_prompt_and_is_determined_by_the_seed(tidegate, run):
    first = tidegate("sample", run, "--prompt", "A dog", "--length", 60, "--seed", 1).out
    assert first.startswith("A dog")
    assert len(first) == len("A dog") + 60 + 1
    assert tidegate("sample", run, "--prompt", "A dog", "--length", 60, "--seed", 1).out == first
    assert tidegate("sample", run, "--prompt", "A dog", "--length", 60, "--seed", 2).out != first


def test_without_a_prompt_the_text_begins_at_the_start_of_a_line(tidegate, run):
    assert len(tidegate("sample", run, "--length", 10).out) == 10 + 1


def test_words_are_separated_by_spaces(tidegate, text, tmp_path):
    folder = tmp_path / "run"
    options = ("--hidden", 8, "--batch", 2, "--steps", 5, "--epochs", 1, "--tokens", "word", "--out", folder)
    assert tidegate("train", text, *options).code == 0
    out = tidegate("sample", folder, "--prompt", "A dog", "--length", 5).out
    assert out.startswith("A dog ")
    assert len(out.split()) == 7
