from pathlib import Path

import pandas as pd
import pytest

from metrics.calibration.questions import QUESTIONS
from scripts.calibrate import fingerprint, main, parse_arguments, world_metrics

ROOT = Path(__file__).parents[2]


def test_every_metric_of_the_worlds_sweeps_is_calibrated() -> None:
    assert set(world_metrics().names) == set(QUESTIONS)


def test_the_fingerprint_follows_the_seed() -> None:
    assert fingerprint(world_metrics(), 0) == fingerprint(world_metrics(), 0)
    assert fingerprint(world_metrics(), 0) != fingerprint(world_metrics(), 1)


def test_too_few_pairs_are_refused(capsys) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(["--pairs", "3"])
    assert "--pairs must be 10 or more, got 3" in capsys.readouterr().err


def test_the_command_writes_the_same_files_again_from_its_cache(tmp_path: Path, capsys) -> None:
    def run(name: str) -> dict[str, bytes]:
        folder = tmp_path / name
        main(["--pairs", "10", "--workers", "1", "--out", str(folder), "--cache", str(tmp_path / "cache")])
        return {file.name: file.read_bytes() for file in folder.iterdir()}

    first = run("first")
    (stored,) = (tmp_path / "cache").rglob("*.parquet")
    written = stored.stat().st_mtime_ns
    assert run("second") == first
    assert stored.stat().st_mtime_ns == written
    assert set(first) == {"README.md", "calibration.csv", "nuisances.csv", "calibration.png", "calibration.pdf"}
    answers = pd.read_csv(tmp_path / "first" / "calibration.csv")
    minima = answers.query("category == 'all' and minimum.notna()").set_index("metric")["minimum"]
    assert minima.to_dict() == {
        "clip_score": 0.95,
        "clip_directional": 0.95,
        "lpips": 0.8,
        "identity_distance": 0.95,
        "attribute_success": 0.95,
    }
    assert "What each metric is blind to" in capsys.readouterr().out


def test_the_readme_shows_the_kept_calibration():
    kept = pd.read_csv(ROOT / "results/calibration/calibration.csv")
    asked = kept[kept["minimum"].notna() & (kept["category"] == "all")]
    readme = (ROOT / "README.md").read_text()
    for row in asked.itertuples():
        shown = f"| {row.value:.3f} | {row.low:.3f} to {row.high:.3f} | {row.minimum:.2f}, {row.verdict} |"
        assert f"| `{row.metric}` | {row.question} | {row.statistic} {shown}" in readme
