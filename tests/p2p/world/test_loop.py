from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from p2p.world.training.loop import Schedule, averaged_weights, fit

SCHEDULE = Schedule(steps=12, learning_rate=1e-2, warmup_steps=3, decay_share=0.5, save_every=5)


class Problem:
    """A small regression whose batches depend on the step alone."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))

    def loss(self, step: int, generator: torch.Generator) -> Tensor:
        inputs = torch.randn((16, 4), generator=generator)
        error: Tensor = self.network(inputs) - inputs.sum(1, keepdim=True)
        return error.square().mean()


def test_resuming_equals_never_stopping(tmp_path: Path) -> None:
    whole, first, second = Problem(), Problem(), Problem()
    fit(whole.network, whole.loss, SCHEDULE, tmp_path / "whole.pt")
    fit(first.network, first.loss, SCHEDULE, tmp_path / "parts.pt", stop_at=7)
    fit(second.network, second.loss, SCHEDULE, tmp_path / "parts.pt")
    torch.testing.assert_close(second.network.state_dict(), whole.network.state_dict(), rtol=0, atol=0)


def test_training_lowers_the_loss_and_leaves_the_average(tmp_path: Path) -> None:
    problem = Problem()
    before = problem.loss(0, torch.Generator().manual_seed(9)).item()
    fit(problem.network, problem.loss, SCHEDULE, tmp_path / "run.pt")
    assert problem.loss(0, torch.Generator().manual_seed(9)).item() < before
    torch.testing.assert_close(problem.network.state_dict(), averaged_weights(tmp_path / "run.pt"))


def test_the_rate_warms_up_stays_and_decays() -> None:
    rates = [SCHEDULE.rate(step) for step in range(SCHEDULE.steps)]
    assert rates[0] == pytest.approx(1e-2 / 3)
    assert rates[3:6] == pytest.approx([1e-2] * 3)
    assert rates[6:] == sorted(rates[6:], reverse=True)
    assert rates[-1] < 0.1 * rates[3]


def test_no_partial_checkpoint_is_left_behind(tmp_path: Path) -> None:
    problem = Problem()
    fit(problem.network, problem.loss, SCHEDULE, tmp_path / "run.pt")
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]
