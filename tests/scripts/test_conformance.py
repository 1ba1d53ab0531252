import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from scripts import conformance


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_case_of_the_published_implementation_is_met(golden, capsys, dtype):
    assert conformance.main([str(golden), "--dtype", dtype]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7
    assert all(line.startswith("ok") for line in lines)


@pytest.mark.parametrize("name", ["latents", "cross_replace_alpha", "mapper"])
def test_a_difference_fails_its_case_and_the_program(golden, tmp_path, capsys, name):
    folder = shutil.copytree(golden, tmp_path / "cases")
    cases = json.loads((folder / "cases.json").read_text())
    (folder / "cases.json").write_text(json.dumps(cases[1:2]))
    tensors = load_file(folder / "reference.safetensors")
    tensors = {f"0.{key[2:]}": tensor for key, tensor in tensors.items() if key.startswith("1.")}
    tensors[f"0.{name}"][1, 1] += 0.5
    save_file(tensors, folder / "reference.safetensors")
    assert conformance.main([str(folder), "--dtype", "float32"]) == 1
    assert capsys.readouterr().out.startswith("FAIL")


def test_a_mask_may_fall_either_way_only_where_its_map_meets_k_and_only_in_float32():
    tied = conformance.Verdict(difference=0.5, margin=5e-6, problems=[])
    assert tied.is_ok("float32")
    assert not tied.is_ok("float64")
    assert not conformance.Verdict(0.5, 1e-3, []).is_ok("float32")
    assert not conformance.Verdict(0.0, 5e-6, ["mapper differs"]).is_ok("float32")
