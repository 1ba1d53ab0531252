"""Hydra's way in to sweeps: `-m` checks every cell of the grid, then runs them all with one model.

Hydra imports this module for every command, `--help` too, so what needs torch is imported when a sweep begins.
"""

from dataclasses import dataclass
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


@dataclass
class SweeperConf:
    """`hydra.sweeper`: an experiment's grid, its values in Hydra's grammar as on the command line.

    Attributes:
        params: axes (and fixed values) of every part of the grid, as in Hydra's own sweeper.
        zip: a list of mappings; the keys of one advance together and have equally many values.
        union: a list of parts, computed one after the other, cells that coincide once. Each is a mapping of its own
            axes and may have a list `zip`; elsewhere the experiment's fixed values hold. `{}` is those values alone.

    For example, two settings on either side of a diagonal, then k alone, each for two categories:

        hydra:
          sweeper:
            params:
              category: faces,food                    # choices; glob(*) takes every option of a config group
              seed: range(2)
            union:
              - zip:
                  - edit.cross_replace_steps: 0.2,0.8
                    edit.self_replace_steps: 0.8,0.2
              - edit.k: "null,0.0,0.3"

    A key on the command line replaces the experiment's axis of that name in all three; of a zip it takes all keys.
    """

    _target_: str = "hydra_plugins.p2p_sweeper.P2PSweeper"
    params: dict[str, Any] | None = None
    zip: Any = None
    union: Any = None


ConfigStore.instance().store(group="hydra/sweeper", name="p2p", node=SweeperConf, provider="p2p_sweeper")


class P2PSweeper(Sweeper):
    """Composes all cells, then hands them to `sweeps.launch` in one go; never one job a cell."""

    def __init__(self, params: Any = None, zip: Any = None, union: Any = None):
        self.params, self.zips, self.union = (_plain(values) for values in (params, zip, union))
        self.master = DictConfig({})
        self.loader: ConfigLoader

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what composing needs."""
        self.master = config
        self.loader = hydra_context.config_loader

    def sweep(self, arguments: list[str]) -> None:
        """Run the grid of `arguments` and `hydra.sweeper`; exits with the sweep's status.

        Raises:
            SystemExit: 1 if a cell failed.
            ValueError, FileNotFoundError: before any work, if anything is wrong with the grid.
        """
        from sweeps.axes import parse_grid
        from sweeps.config import CellBuilder
        from sweeps.grid import build_cells
        from sweeps.launch import run_sweep
        from sweeps.settings import sweep_settings

        choices = self.master.hydra.runtime.choices
        if choices.get("hydra/launcher") != "basic":
            raise ValueError(
                f"hydra/launcher={choices['hydra/launcher']} has no effect on cells of one sweep; "
                "launcher=local runs workers on this machine, launcher=slurm on a cluster"
            )
        grid = parse_grid(arguments, self.loader.get_group_options, self.params, self.zips, self.union)
        fixed = OmegaConf.create(self._compose(list(grid.fixed)))
        settings = sweep_settings(_plain(fixed), choices.get("experiment"))
        builder = CellBuilder()
        status = run_sweep(build_cells(grid, self._compose, builder, builder.each_pair), settings)
        if status:
            raise SystemExit(status)

    def _compose(self, overrides: list[str]) -> dict[str, Any]:
        config = self.loader.load_sweep_config(self.master, overrides)
        own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
        values: Any = OmegaConf.to_container(own)
        return {str(key): value for key, value in values.items()}


def _plain(values: Any) -> Any:
    """Plain lists and mappings from OmegaConf's, interpolations resolved."""
    return OmegaConf.to_container(values, resolve=True) if OmegaConf.is_config(values) else values
