"""`python -m tests.faults.broken FAULT ...`: p2p-sweep with a fault in its drawing."""

import sys

import torch

import sweeps.run
import sweeps.worker
from scripts import sweep

draw_group, denoise = sweeps.run.draw_group, sweeps.run.denoise
PLACES = {
    "edit_not_finite": (sweeps.run, "denoise"),
    "source_not_finite": (sweeps.run, "denoise"),
    "no_memory_for_the_model": (sweeps.worker, "load_model"),
}


def little_memory(models, group, batch_size, progress):
    """Memory suffices for four latents a call; with more it runs out on the way."""

    def run_out(samples):
        raise torch.OutOfMemoryError("CUDA out of memory")

    return draw_group(models, group, batch_size, run_out if batch_size > 4 else progress)


def no_memory(models, group, batch_size, progress):
    """One cell of each group takes more memory than there is, at any batch size."""
    if any(cell.edit.k is None and cell.edit.self_replace_steps[1] for cell in group.cells):
        raise MemoryError
    return draw_group(models, group, batch_size, progress)


def no_memory_for_the_model(model):
    """The model does not fit."""
    raise torch.OutOfMemoryError("CUDA out of memory")


def edit_not_finite(*arguments):
    """The last edit's latents are not finite."""
    drawn = denoise(*arguments)
    drawn.latents[-1] = torch.nan
    return drawn


def source_not_finite(*arguments):
    """The source's latents are not finite."""
    drawn = denoise(*arguments)
    drawn.latents[0] = torch.inf
    return drawn


def main():
    name = sys.argv.pop(1)
    module, function = PLACES.get(name, (sweeps.run, "draw_group"))
    setattr(module, function, globals()[name])
    sweep.main()


if __name__ == "__main__":
    main()
