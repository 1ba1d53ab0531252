"""A byte-pair tokenizer in which every world word is one token and any other text falls back to bytes."""

import json

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from p2p.world.captions import vocabulary

LENGTH = 32
_START, _END = "<|startoftext|>", "<|endoftext|>"


def build_tokenizer() -> CLIPTokenizer:
    """The world's CLIP tokenizer, padded to 32 tokens."""
    alphabet = _byte_alphabet()
    merges = _merges(alphabet)
    tokens = [*alphabet, *(f"{letter}</w>" for letter in alphabet), *("".join(pair) for pair in merges), _START, _END]
    entries = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    return CLIPTokenizer(vocab=entries, merges=merges, model_max_length=LENGTH)


def _byte_alphabet() -> list[str]:
    return sorted(pre_tokenizers.ByteLevel.alphabet())


def _merges(alphabet: list[str]) -> list[tuple[str, str]]:
    """Merges learnt on the words alone until each is a single token."""
    trainer = trainers.BpeTrainer(
        vocab_size=10_000, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False
    )
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    learner.train_from_iterator([" ".join(vocabulary())], trainer)

    model = json.loads(learner.to_str())["model"]
    return [(first, second) for first, second in model["merges"]]
