"""One training loop for every network of the world: schedule, averaged weights, exact resuming."""

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

Loss = Callable[[int, torch.Generator], Tensor]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: warm-up, a constant rate, and a cosine decay over the last share of the steps."""

    steps: int
    learning_rate: float
    warmup_steps: int = 100
    decay_share: float = 0.2
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    ema: float = 0.999
    seed: int = 0
    save_every: int = 250

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        warm = min(1.0, (step + 1) / max(1, self.warmup_steps))
        start = self.steps * (1 - self.decay_share)
        if step < start:
            return self.learning_rate * warm
        progress = (step - start) / max(1.0, self.steps - start)
        return self.learning_rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))


def step_generator(seed: int, step: int) -> torch.Generator:
    """The randomness of one step, the same whether or not training was interrupted before it."""
    return torch.Generator().manual_seed(seed * 1_000_003 + step)


def save_atomically(value: Any, path: Path) -> None:
    """Write with torch.save beside the path, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    torch.save(value, partial)
    partial.replace(path)


def averaged_weights(path: Path) -> dict[str, Tensor]:
    """The exponential moving average of the weights in a checkpoint."""
    averages: dict[str, Tensor] = torch.load(path, weights_only=True)["ema"]
    return averages


def fit(network: nn.Module, loss: Loss, schedule: Schedule, checkpoint: Path, stop_at: int | None = None) -> None:
    """Train `network` on `loss(step, generator)`, from the checkpoint if there is one; leave it with averaged weights.

    `stop_at` ends early, as an interruption would: the next call goes on from the checkpoint.
    """
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=0.0, betas=(0.9, 0.99), weight_decay=schedule.weight_decay, fused=True)
    averages = [parameter.detach().clone() for parameter in parameters]
    first = _restore(checkpoint, network, optimizer, averages)
    started, running = time.perf_counter(), 0.0
    last = schedule.steps if stop_at is None else min(stop_at, schedule.steps)
    for step in range(first, last):
        running += _update(network, loss, schedule, optimizer, parameters, averages, step)
        if (step + 1) % 50 == 0:
            seconds = (time.perf_counter() - started) / (step + 1 - first)
            print(
                f"{checkpoint.stem} {step + 1}/{schedule.steps} loss {running / 50:.4f} {seconds:.3f} s/step",
                flush=True,
            )
            running = 0.0
        if (step + 1) % schedule.save_every == 0 or step + 1 == last:
            _save(checkpoint, network, optimizer, averages, step + 1)
    for parameter, average in zip(parameters, averages, strict=True):
        parameter.data.copy_(average)


def _update(
    network: nn.Module,
    loss: Loss,
    schedule: Schedule,
    optimizer: torch.optim.Optimizer,
    parameters: list[nn.Parameter],
    averages: list[Tensor],
    step: int,
) -> float:
    for group in optimizer.param_groups:
        group["lr"] = schedule.rate(step)
    optimizer.zero_grad(set_to_none=True)
    value = loss(step, step_generator(schedule.seed, step))
    value.backward()
    nn.utils.clip_grad_norm_(parameters, schedule.clip_norm)
    optimizer.step()
    keep = min(schedule.ema, (step + 1) / (step + 10))
    torch._foreach_lerp_(averages, [parameter.data for parameter in parameters], 1 - keep)
    return float(value.detach())


def _save(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, averages: list[Tensor], step: int) -> None:
    names = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    state = {
        "step": step,
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "ema": {**network.state_dict(), **dict(zip(names, averages, strict=True))},
    }
    save_atomically(state, path)


def _restore(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, averages: list[Tensor]) -> int:
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    names = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    for average, name in zip(averages, names, strict=True):
        average.copy_(state["ema"][name])
    step: int = state["step"]
    return step
