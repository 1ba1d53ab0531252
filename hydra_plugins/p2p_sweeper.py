"""Hydra's way in to sweeps: `-m` checks every cell of the grid, then runs them all with one model.

Hydra imports this module for every command, `--help` too, so what needs torch is imported when a sweep begins.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


@dataclass
class SweeperConf:
    """`hydra.sweeper`; `params` are an experiment's axes, as in Hydra's own sweeper."""

    _target_: str = "hydra_plugins.p2p_sweeper.P2PSweeper"
    params: dict[str, Any] | None = None


ConfigStore.instance().store(group="hydra/sweeper", name="p2p", node=SweeperConf, provider="p2p_sweeper")


class P2PSweeper(Sweeper):
    """Composes all cells, then hands them to `sweeps.launch` in one go; never one job a cell."""

    def __init__(self, params: Mapping[str, Any] | None = None):
        self.params = params
        self.master = DictConfig({})
        self.loader: ConfigLoader

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what composing needs."""
        self.master = config
        self.loader = hydra_context.config_loader

    def sweep(self, arguments: list[str]) -> None:
        """Run the grid of `arguments` and `hydra.sweeper.params`; exits with the sweep's status.

        Raises:
            SystemExit: 1 if a cell failed.
            ValueError, FileNotFoundError: before any work, if anything is wrong with the grid.
        """
        from sweeps.config import build_cell, sweep_settings
        from sweeps.grid import build_cells, parse_grid
        from sweeps.launch import run_sweep

        grid = parse_grid(arguments, self.params, lambda key: bool(self.loader.get_group_options(key)))
        settings = sweep_settings(self._compose(list(grid.fixed)), self.master.hydra.runtime.choices.get("experiment"))
        status = run_sweep(build_cells(grid, self._compose, build_cell), settings)
        if status:
            raise SystemExit(status)

    def _compose(self, overrides: list[str]) -> Mapping[str, Any]:
        config = self.loader.load_sweep_config(self.master, overrides)
        own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
        values = OmegaConf.to_container(own, resolve=True)
        assert isinstance(values, dict), "a composed configuration is a mapping"
        return {str(key): value for key, value in values.items()}
