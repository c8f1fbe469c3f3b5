"""Texts, vocabularies, splits, minibatches, and the n-gram baseline."""

from tidegate.text.batches import IGNORE, Batches, RandomSampling, Sequential, heldout_windows
from tidegate.text.corpora import NAMES, load_text
from tidegate.text.dataset import Dataset, Part, make_dataset, make_part
from tidegate.text.ngram import Baseline, ngram_baseline
from tidegate.text.progress import ConsoleProgress, Progress
from tidegate.text.source import Text
from tidegate.text.token_array import TokenArray
from tidegate.text.tokens import tokenize
from tidegate.text.vocabulary import UNKNOWN, Vocabulary

__all__ = [
    "IGNORE",
    "NAMES",
    "UNKNOWN",
    "Baseline",
    "Batches",
    "ConsoleProgress",
    "Dataset",
    "Part",
    "Progress",
    "RandomSampling",
    "Sequential",
    "Text",
    "TokenArray",
    "Vocabulary",
    "heldout_windows",
    "load_text",
    "make_dataset",
    "make_part",
    "ngram_baseline",
    "tokenize",
]
