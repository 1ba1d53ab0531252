"""`p2p-sweep`: one edit, or with `-m` a grid of them, drawn, scored and tabulated.

Exit status: 0 all there, 1 some cells failed, 2 nothing could be started.
"""

from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from scripts.command_line import refusals, run


@hydra.main(version_base="1.3", config_path="pkg://conf", config_name="config")
def sweep(config: DictConfig) -> None:
    """Run a single cell; Hydra hands grids to hydra_plugins/p2p_sweeper.py."""
    from sweeps.config import build_cell
    from sweeps.launch import run_sweep
    from sweeps.settings import sweep_settings

    with refusals("p2p-sweep"):  # here too, before Hydra reports them in its own way
        values: Any = OmegaConf.to_container(config, resolve=True)
        settings = sweep_settings(values, HydraConfig.get().runtime.choices.get("experiment"))
        status = run_sweep([build_cell(values)], settings)
    raise SystemExit(status)


def main() -> None:
    """The console script."""
    run("p2p-sweep", sweep, "config")


if __name__ == "__main__":
    main()
