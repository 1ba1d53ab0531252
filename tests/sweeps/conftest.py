import dataclasses

import pytest

from p2p.edits import Edit
from p2p.prompts import tokenize
from sweeps.cells import Cell, ModelId, Sampler


@pytest.fixture
def make_cell(tokenizer):
    """A cell of the tiny pipeline; keyword arguments replace fields, `edit` is resolved for the prompts."""

    def make(source="a cat on the grass", target="a dog on the grass", edit=None, **fields):
        source, target = tokenize(tokenizer, source), tokenize(tokenizer, target)
        cell = Cell(
            model=ModelId("tiny", "0123456789abcdef", "float32", None),
            sampler=Sampler("ddim", 4, 5.0, "", 64, 64),
            seed=0,
            category="animals",
            pair="cat_to_dog",
            source=source,
            target=target,
            edit=(edit or Edit()).resolve(source, target),
        )
        return dataclasses.replace(cell, **fields)

    return make
