"""What the README shows, runs."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_edit_in_ten_lines_draws_a_source_and_its_edit():
    example = next(code for code in re.findall(r"```python\n(.*?)```", README, re.S) if "denoise(" in code)
    assert len([line for line in example.splitlines() if line and not line.startswith(("from", "import"))]) <= 10
    names: dict = {}
    exec(example, names)
    assert names["pictures"].shape == (2, 3, 128, 128)
    assert (names["pictures"][0] != names["pictures"][1]).any()


@pytest.mark.parametrize("path", re.findall(r"\]\((?!http)([^)#]+)\)", README))
def test_every_link_to_a_file_leads_somewhere(path):
    assert (ROOT / path).exists()


def test_every_configuration_key_is_described():
    from hydra import compose, initialize_config_module

    with initialize_config_module("conf", version_base="1.3"):
        config = compose("config")
    for group in ("edit", "sampler", "cycle", "sweep", "images"):
        for key in config[group]:
            assert f"`{group}.{key}`" in README or f"`.{key}`" in README or f"`{group}.{key}." in README, (
                f"{group}.{key}"
            )


def test_the_claims_table_is_that_of_the_kept_findings():
    lines = (ROOT / "results/world/findings.md").read_text().splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) > 2
    assert "\n".join(table) in README
