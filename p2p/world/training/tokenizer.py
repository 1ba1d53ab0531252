"""A byte-pair tokenizer in which every world word is one token and any other text falls back to bytes."""

from collections import Counter
from itertools import pairwise

from tokenizers import pre_tokenizers
from transformers import CLIPTokenizer

from p2p.world.captions import vocabulary

LENGTH = 32
_START, _END = "<|startoftext|>", "<|endoftext|>"

Pair = tuple[str, str]


def build_tokenizer() -> CLIPTokenizer:
    """The world's CLIP tokenizer, padded to 32 tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = learn_merges(vocabulary(), alphabet)
    tokens = [*alphabet, *(f"{letter}</w>" for letter in alphabet), *("".join(pair) for pair in merges), _START, _END]
    entries = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    return CLIPTokenizer(vocab=entries, merges=merges, model_max_length=LENGTH)


def learn_merges(words: tuple[str, ...], alphabet: list[str]) -> list[Pair]:
    """Merge the most frequent pair, of equals that of the earliest tokens, until each word is a single token.

    The tokenizers library's trainer breaks ties differently from run to run; weights need the same order always.
    """
    split = [[*word[:-1], f"{word[-1]}</w>"] for word in words]
    rank: dict[str, int] = {}
    for token in (*alphabet, *(token for word in split for token in word)):
        rank.setdefault(token, len(rank))
    merges: list[Pair] = []
    while pairs := Counter(pair for word in split for pair in pairwise(word)):
        best = min(pairs, key=lambda pair: (-pairs[pair], rank[pair[0]], rank[pair[1]]))
        merges.append(best)
        rank.setdefault("".join(best), len(rank))
        split = [_merged(word, best) for word in split]
    return merges


def _merged(word: list[str], pair: Pair) -> list[str]:
    merged: list[str] = []
    for token in word:
        if merged and (merged[-1], token) == pair:
            merged[-1] += token
        else:
            merged.append(token)
    return merged
