"""`p2p-score results/SWEEP metrics=...`: score a sweep's stored pictures; nothing is drawn, and no score replaced.

`p2p-score pie.data=DATA pie.edited=EDITED out=FILE.csv metrics=pie`: PIE-Bench's table for anyone's edited pictures.
Exit status: 0 all scored, 1 some pictures cannot be read, 2 nothing could be started.
"""

import json
import sys
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from scripts.command_line import refusals, run


@hydra.main(version_base="1.3", config_path="pkg://conf", config_name="score")
def score(config: DictConfig) -> None:
    """Score a sweep's folder, or folders of pictures."""
    with refusals("p2p-score", "score"):
        values: Any = OmegaConf.to_container(config, resolve=True)
        if values["folder"] is None:
            status = _score_pie(values)
        else:
            status = _score_sweep(values, list(HydraConfig.get().overrides.task))
    raise SystemExit(status)


def _score_sweep(values: dict[str, Any], overrides: list[str]) -> int:
    """With the chosen metrics; without a choice, with the sweep's own, changed by keys such as metrics.names."""
    from metrics.loading import MetricsConfig
    from sweeps.rescore import rescore, stored_metrics

    given = [key for key in ("data", "edited") if values["pie"][key] is not None]
    if given or values["out"] is not None:
        raise ValueError("a sweep's folder and pie.data, pie.edited or out exclude each other; give one of them")
    folder, metrics = Path(str(values["folder"])).expanduser(), values["metrics"]
    own = stored_metrics(folder)
    if values["own_metrics"]:
        dotted = [text for text in overrides if text.startswith("metrics.")]
        merged: Any = OmegaConf.to_container(OmegaConf.merge({"metrics": own}, OmegaConf.from_dotlist(dotted)))
        metrics = merged["metrics"]
    size = values["batch_size"]
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ValueError(f"batch_size must be a whole number, at least 1, got {size!r}")
    return rescore(folder, MetricsConfig.from_mapping(metrics), str(values["device"]), size)


def _score_pie(values: dict[str, Any]) -> int:
    from metrics.pie_loading import PieConfig, load_pie_networks
    from sweeps.pie_bench import MAPPING, PieSettings, pie_table, read_mapping, score_folders, there, write_csv

    if values["pie"]["data"] is None and values["pie"]["edited"] is None:
        raise ValueError("give a sweep's folder, as results/quickstart, or pie.data=... and pie.edited=...")
    settings, config = PieSettings.from_mapping(values["pie"]), PieConfig.from_mapping(values["metrics"])
    items = read_mapping(settings.data / MAPPING)
    scored = len(there(settings, items))
    table = score_folders(settings, config.names, load_pie_networks(config, str(values["device"])), items)
    print(pie_table(table))
    if scored < len(items):
        print(f"{len(items) - scored} of {len(items)} pictures are not there and left out", file=sys.stderr)
    if values["out"] is not None:
        out = Path(str(values["out"])).expanduser()
        write_csv(table, out)
        print(f"one row a picture: {out}")
    return 0


def main() -> None:
    """The console script."""
    sys.argv[1:] = _arguments(sys.argv[1:])
    run("p2p-score", score, "score")


def _arguments(given: list[str]) -> list[str]:
    """A sweep's folder as the first argument becomes `folder=...`; its metrics' keys are then those of sweeps."""
    if not given or given[0].startswith("-") or ("=" in given[0] and not Path(given[0]).is_dir()):
        return given
    chosen = [] if any(text.startswith("metrics=") for text in given[1:]) else ["own_metrics=true", "metrics=world"]
    return [f"folder={json.dumps(given[0], ensure_ascii=False)}", *chosen, *given[1:]]


if __name__ == "__main__":
    main()
