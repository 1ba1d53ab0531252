from dataclasses import replace

from metrics.loading import MetricsConfig
from p2p.edits import Edit
from sweeps.config import ModelConfig, PlannedCell
from sweeps.shards import make_shards, make_works

WORLD, OTHER = ModelConfig("world", "a"), ModelConfig("other", "b")


def planned(cells, model=WORLD):
    return [PlannedCell(cell, model, MetricsConfig()) for cell in cells]


def test_works_are_groups_in_parts_model_by_model(make_cell):
    a, b = ([make_cell(seed=seed, edit=Edit(k=k)) for k in (None, 0.1, 0.3)] for seed in (0, 1))
    mixed = [*planned(a[:1]), *planned(b[:1], OTHER), *planned(a[1:]), *planned(b)]
    works = make_works(mixed, part_size=2)
    assert [(work.model.name, len(work.cells)) for work in works] == [
        ("world", 2),
        ("world", 1),
        ("world", 2),
        ("world", 1),
        ("other", 1),
    ]
    assert len({work.name for work in works if work.model is WORLD}) == 4
    assert [work.name for work in make_works(mixed[:4], 2)] == [works[0].name, works[1].name, works[4].name]


def test_shards_have_all_work_once_and_cost_about_the_same(make_cell):
    cells = [make_cell(seed=seed, edit=Edit(k=k)) for seed in range(7) for k in (None, 0.1, 0.2, 0.3)[: 1 + seed % 4]]
    works = make_works(planned(cells), part_size=100)
    shards = make_shards(works, 3)
    assert sorted(work.name for shard in shards for work in shard.works) == sorted(work.name for work in works)
    costs = [shard.unet_samples for shard in shards]
    assert sum(costs) == sum(work.group.unet_samples for work in works)
    assert max(costs) - min(costs) <= max(work.group.unet_samples for work in works)
    assert len(make_shards(works, 100)) == len(works)


def test_a_work_sent_elsewhere_leaves_its_plan_behind(make_cell):
    (work,) = make_works(planned([make_cell()]), 10)
    assert work.group.unet_samples
    assert "group" not in vars(replace(work))
    assert replace(work) == work
