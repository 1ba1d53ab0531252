"""`p2p-edit`: one edit or a dialogue of them, as pictures with captions, scores and JSON.

Takes the keys of `p2p-sweep`, and `source="..." target="..."`, `dialogue=[...]`, `attention=true`, `out=...`.
"""

import json
import sys
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

from scripts.command_line import refusals, run


@hydra.main(version_base="1.3", config_path="pkg://conf", config_name="single")
def edit(config: DictConfig) -> None:
    """Draw the edit and say where it lies."""
    from sweeps.single import edit_once

    with refusals("p2p-edit", "single"):
        values: Any = OmegaConf.to_container(config, resolve=True)
        print(edit_once(values))


def main() -> None:
    """The console script."""
    sys.argv[1:] = [quoted(argument) for argument in sys.argv[1:]]
    run("p2p-edit", edit, "single")


def quoted(argument: str) -> str:
    """A prompt as Hydra reads it whatever is in it: `source=a woman's face, smiling`."""
    key, _, text = argument.partition("=")
    if key not in ("source", "target") or text[:1] in ("", '"', "'") or text == "null":
        return argument
    return f"{key}={json.dumps(text, ensure_ascii=False)}"


if __name__ == "__main__":
    main()
