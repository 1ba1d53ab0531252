"""Words of a prompt and the text encoder's tokens they become."""

import difflib
import string
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any


@dataclass(frozen=True)
class Prompt:
    """A tokenized prompt.

    Attributes:
        text: the prompt as given.
        words: its words, split at white space.
        token_ids: begin-of-text, the words' tokens, end-of-text; without padding.
        word_tokens: for each word the positions of its tokens, counted with begin-of-text at 0.
        num_tokens: the text encoder's sequence length, padding included.
    """

    text: str
    words: tuple[str, ...]
    token_ids: tuple[int, ...]
    word_tokens: tuple[range, ...]
    num_tokens: int

    def __hash__(self) -> int:
        return hash(self.text)

    @cached_property
    def plain_words(self) -> tuple[str, ...]:
        """Its words as they are compared, see `normalise`."""
        return tuple(normalise(word) for word in self.words)

    def tokens_of(self, word: str, role: str) -> list[int]:
        """Positions of the tokens of every occurrence of `word`.

        Raises:
            ValueError: `word` is not in the prompt; the message names `role`, the setting that asked.
        """
        wanted = tuple(normalise(part) for part in word.split())
        words = self.plain_words
        starts = [i for i in range(len(words)) if words[i : i + len(wanted)] == wanted]
        if not starts or not wanted:
            close = difflib.get_close_matches(normalise(word), words, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ValueError(
                f"{role}: the word {word!r} is not in the prompt {self.text!r}; "
                f"its words are {', '.join(self.words) or '(none)'}{hint}"
            )
        return [t for i in starts for tokens in self.word_tokens[i : i + len(wanted)] for t in tokens]


def tokenize(tokenizer: Any, text: str) -> Prompt:
    """Split `text` into words and tokens; the tokens are those of the whole text.

    Raises:
        ValueError: the text has more tokens than the text encoder reads, or its tokens do not follow its words.
    """
    words = tuple(text.split())
    pieces = [_bare_ids(tokenizer, word) for word in words]
    token_ids = list(tokenizer(text, verbose=False).input_ids)
    limit = int(tokenizer.model_max_length)
    if len(token_ids) > limit:
        raise ValueError(
            f"the prompt {textwrap.shorten(text, 80)!r} has {len(token_ids)} tokens, the text encoder reads at most "
            f"{limit} (begin and end included); shorten it"
        )
    if [i for piece in pieces for i in piece] != token_ids[1:-1]:
        raise ValueError(f"the prompt {text!r} does not split into tokens word by word; write it with plain spaces")
    word_tokens, start = [], 1
    for piece in pieces:
        word_tokens.append(range(start, start + len(piece)))
        start += len(piece)
    return Prompt(text, words, tuple(token_ids), tuple(word_tokens), limit)


def normalise(word: str) -> str:
    """`word` as words are compared: without case and without punctuation at its ends."""
    return word.casefold().strip(string.punctuation)


@lru_cache(maxsize=4096)
def check_swappable(source: Prompt, target: Prompt) -> None:
    """Raise ValueError unless the prompts have as many words, which a word swap needs."""
    if len(source.words) != len(target.words):
        raise ValueError(
            f"edit.kind=swap needs prompts with as many words: {source.text!r} has {len(source.words)}, "
            f"{target.text!r} has {len(target.words)}; use edit.kind=refine"
        )


def differing_words(source: Prompt, target: Prompt) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The words of `source` that `target` lacks at their place, and those of `target` that `source` lacks."""
    a, b = source.plain_words, target.plain_words
    if len(a) == len(b):
        changed = [i for i in range(len(a)) if a[i] != b[i]]
        return _unique(a[i] for i in changed), _unique(b[i] for i in changed)
    return _only_in(a, b), _only_in(b, a)


def _only_in(words: tuple[str, ...], others: tuple[str, ...]) -> tuple[str, ...]:
    """The words inserted into `others`; those that `others` has elsewhere only where there are no better."""
    blocks = difflib.SequenceMatcher(None, others, words, autojunk=False).get_opcodes()
    inserted = [word for tag, _, _, start, end in blocks if tag != "equal" for word in words[start:end]]
    return _unique(word for word in inserted if word not in others) or _unique(inserted)


def _bare_ids(tokenizer: Any, word: str) -> list[int]:
    return list(tokenizer(word, add_special_tokens=False).input_ids)


def _unique(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for word in words if word))
