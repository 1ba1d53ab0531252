"""Summaries made by hand."""

import itertools
import json

import pandas as pd

QUICKSTART = list(itertools.product((0.0, 0.3), (0.2, 0.8), (0.2, 0.8), (0.0, 0.4)))


def row(k=0.3, cross=0.8, self_=0.2, v=0.0, **changes) -> dict:
    """A cell's row of summary.parquet, its metrics given by keywords."""
    edit = {
        "kind": "swap",
        "k": k,
        "cross_replace_steps": [0.0, cross],
        "self_replace_steps": [0.0, self_],
        "v_inject_steps": [0.0, v],
        "equalizer": {},
        "self_replace_max_pixels": 1024,
    }
    if v:
        edit["v_inject"] = {"layers": "self", "tokens": "aligned", "weight": 1.0}
    if k is not None:
        edit["local_blend"] = {"source_words": ["blond"], "target_words": ["red"], "start_blend": 0.2}
    values = {
        "cell_id": f"{k} {cross} {self_} {v}",
        "config_id": f"{k} {cross} {self_} {v}",
        "sweep": "test",
        "model": "world",
        "category": "faces",
        "pair": "blond_to_red",
        "kind": "swap",
        "source_prompt": "a woman's face with blond hair",
        "target_prompt": "a woman's face with red hair",
        "seed": 0,
        "num_inference_steps": 20,
        "guidance_scale": 5.0,
        "k": k,
        "cross_replace_steps": cross,
        "self_replace_steps": self_,
        "v_inject_steps": v,
        "edit": json.dumps(edit),
        "cycle_mode": "swap",
        "status": "ok",
        "error": None,
        "source_image": None,
        "target_image": None,
        "cycle_image": None,
        "source_hash": None,
        "target_hash": None,
        "cycle_hash": None,
        "unet_samples": 40.0,
        "wall_s": 0.3,
        "device": "cpu",
        "dtype": "float32",
        "settings_id": None,
        "model_digest": "0" * 16,
        "pixels_version": 1,
        "versions": "{}",
        "git_commit": None,
        "created_at": pd.Timestamp("2026-01-01", tz="UTC"),
    }
    return {**values, **changes}


def frame(rows) -> pd.DataFrame:
    """Rows as read from summary.parquet: numbers that are all null are still floats."""
    table = pd.DataFrame(rows)
    numbers = ["k", "cross_replace_steps", "self_replace_steps", "v_inject_steps"]
    return table.astype(dict.fromkeys(numbers, "float64"))
