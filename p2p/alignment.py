"""Which token of the source prompt each token of the target prompt takes its attention from.

Prompt-to-Prompt (Hertz et al., 2022), section 3.2: a word swap aligns words by position, a refinement aligns
tokens by global sequence alignment. Both follow the published implementation, down to what it does with words
of unequal token counts, so that its numbers can be reproduced.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from p2p.prompts import Prompt, check_swappable, normalise

MATCH, MISMATCH, GAP = 1, -1, 0


class Refinement(NamedTuple):
    """A refinement's alignment: for each target token its source token, and whether it has one."""

    mapper: Int[Tensor, " tokens"]
    alphas: Float[Tensor, " tokens"]


def replacement_mapper(source: Prompt, target: Prompt) -> Float[Tensor, "source_tokens target_tokens"]:
    """Word swap: how much of each source token's map each target token receives.

    A swapped word of n target tokens spreads 1/n of each source token over each of them. Behind the last
    swapped word positions are counted in the target.

    Raises:
        ValueError: the prompts differ in their number of words.
    """
    check_swappable(source, target)
    size = source.num_tokens
    mapper = torch.zeros(size, size, dtype=torch.float64)
    swaps = [
        (source.word_tokens[w], target.word_tokens[w])
        for w in range(len(source.words))
        if source.words[w] != target.words[w]
    ]
    i = j = 0
    for source_tokens, target_tokens in swaps:
        while i < source_tokens.start:
            mapper[i, j] = 1
            i, j = i + 1, j + 1
        for token in source_tokens:
            mapper[token, list(target_tokens)] = 1 / len(target_tokens)
        i, j = source_tokens.stop, target_tokens.stop
    rest = list(range(j, min(size, size - i + j)))
    mapper[rest, rest] = 1
    return mapper


def refinement_mapper(source: Prompt, target: Prompt) -> Refinement:
    """Refinement: global alignment (Needleman-Wunsch) of the token sequences.

    Target tokens without a source have mapper -1 and alpha 0; behind the target's end each position maps to itself.
    """
    size = source.num_tokens
    aligned = _align(source.token_ids, target.token_ids)
    mapper = torch.arange(size)
    mapper[: len(aligned)] = torch.tensor(aligned)
    return Refinement(mapper, (mapper >= 0).to(torch.float64))


def unchanged_tokens(source: Prompt, target: Prompt) -> Int[Tensor, " tokens"]:
    """For each target token the source token of the same, unchanged word, or -1."""
    mapper = refinement_mapper(source, target).mapper.clone()
    source_words, target_words = _words_of_tokens(source), _words_of_tokens(target)
    for j, word in target_words.items():
        if source_words.get(int(mapper[j])) != word:
            mapper[j] = -1
    return mapper


def _words_of_tokens(prompt: Prompt) -> dict[int, str]:
    return {t: normalise(w) for w, tokens in zip(prompt.words, prompt.word_tokens, strict=True) for t in tokens}


def _align(source: tuple[int, ...], target: tuple[int, ...]) -> list[int]:
    """For each target token the position of its source token, or -1 (ties: skip a target token, then a source one)."""
    score = [[GAP * (i + j) for j in range(len(target) + 1)] for i in range(len(source) + 1)]
    for i in range(1, len(source) + 1):
        for j in range(1, len(target) + 1):
            same = MATCH if source[i - 1] == target[j - 1] else MISMATCH
            score[i][j] = max(score[i][j - 1] + GAP, score[i - 1][j] + GAP, score[i - 1][j - 1] + same)
    aligned = [-1] * len(target)
    i, j = len(source), len(target)
    while i > 0 and j > 0:
        if score[i][j] == score[i][j - 1] + GAP:
            j -= 1
        elif score[i][j] == score[i - 1][j] + GAP:
            i -= 1
        else:
            i, j = i - 1, j - 1
            aligned[j] = i
    return aligned
