import os
from pathlib import Path

import diffusers
import pytest
import transformers
from transformers import CLIPTokenizer

from p2p.loading import Models, load_models
from tests import pipelines

os.environ["WANDB_SILENT"] = "true"
diffusers.utils.logging.disable_progress_bar()
transformers.utils.logging.disable_progress_bar()
GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def golden() -> Path:
    return GOLDEN


@pytest.fixture(scope="session")
def tokenizer() -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(GOLDEN / "pipeline" / "tokenizer")


@pytest.fixture(scope="session")
def tiny_pipeline(tmp_path_factory, tokenizer) -> Path:
    """A saved pipeline in SD 1.x's architecture, 64 x 64 pictures, random weights."""
    folder = tmp_path_factory.mktemp("model") / "tiny"
    pipelines.sd1(tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def models(tiny_pipeline) -> Models:
    """The tiny pipeline in float64."""
    return load_models(str(tiny_pipeline), dtype="float64", device="cpu")
