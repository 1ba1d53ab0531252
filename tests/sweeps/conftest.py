import dataclasses
import sys
from types import SimpleNamespace

import pytest
from hydra import initialize_config_module
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.types import HydraContext, RunMode

from hydra_plugins.p2p_sweeper import P2PSweeper
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


@pytest.fixture
def cells_of(monkeypatch, tmp_path):
    """The checked cells of an experiment with arguments."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = []
    launch = SimpleNamespace(run_sweep=lambda planned, settings: found.extend(planned))
    monkeypatch.setitem(sys.modules, "sweeps.launch", launch)

    def cells_of(*arguments):
        found.clear()
        with initialize_config_module("conf", version_base="1.3"):
            loader = GlobalHydra.instance().config_loader()
            master = loader.load_configuration("config", list(arguments), run_mode=RunMode.MULTIRUN)
            conf = master.hydra.sweeper
            sweeper = P2PSweeper(conf.params, conf.zip, conf.union)
            sweeper.setup(hydra_context=HydraContext(loader, Callbacks()), task_function=None, config=master)
            sweeper.sweep([argument for argument in arguments if not argument.startswith("hydra.")])
        return list(found)

    return cells_of
