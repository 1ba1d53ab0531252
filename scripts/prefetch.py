"""`p2p-prefetch model=sd14`: fetch a model and its metrics' networks, for machines without network.

Takes the keys `model`, `model.*`, `metrics` and `metrics.*` of `p2p-sweep`.
"""

import sys
from dataclasses import replace
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

from scripts.command_line import refusals, run


@hydra.main(version_base="1.3", config_path="pkg://conf", config_name="config")
def prefetch(config: DictConfig) -> None:
    """Fetch, and say what lies where."""
    from p2p.loading import locate_model
    from sweeps.config import model_config

    with refusals("p2p-prefetch"):
        values: Any = OmegaConf.to_container(config, resolve=True)
        model = model_config(values["model"])
        files = locate_model(model.path, model.revision, model.config, model.lora)
        print(f"model {model.name}: {files.folder}")
        names = _fetch_networks(values["metrics"])
        print(f"metrics: {', '.join(names) or 'none'}")


def _fetch_networks(values: Any) -> tuple[str, ...]:
    """Load the networks of sweeps' or PIE-Bench's metrics; the metrics' names."""
    from metrics.faces_loading import INSTALL, LICENCE
    from metrics.loading import MetricsConfig, load_networks, not_installed
    from metrics.pie_loading import PieConfig, is_pie, load_pie_networks

    if is_pie(values):
        pie = PieConfig.from_mapping(values)
        load_pie_networks(pie, "cpu")
        return pie.names
    metrics = MetricsConfig.from_mapping(values)
    if absent := not_installed(metrics):
        print(f"not fetched: {', '.join(absent)}; {INSTALL} ({LICENCE})", file=sys.stderr)
        metrics = replace(metrics, names=tuple(name for name in metrics.names if name not in absent))
    load_networks(metrics, "cpu")
    return metrics.names


def main() -> None:
    """The console script."""
    run("p2p-prefetch", prefetch, "config")


if __name__ == "__main__":
    main()
