"""`python -m tests.faults.broken FAULT ...`: p2p-sweep with a fault in its drawing."""

import sys

import torch

import sweeps.run
from scripts import sweep

draw_group, denoise = sweeps.run.draw_group, sweeps.run.denoise


def little_memory(models, group, batch_size, progress):
    """Memory suffices for four latents a call; with more it runs out on the way."""
    drawn = draw_group(models, group, batch_size, progress)
    if batch_size > 4:
        raise torch.OutOfMemoryError("CUDA out of memory")
    return drawn


def no_memory(models, group, batch_size, progress):
    """One cell of each group takes more memory than there is, at any batch size."""
    if any(cell.edit.k is None and cell.edit.self_replace_steps[1] for cell in group.cells):
        raise MemoryError
    return draw_group(models, group, batch_size, progress)


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
    fault = globals()[sys.argv.pop(1)]
    setattr(sweeps.run, "denoise" if fault.__name__.endswith("finite") else "draw_group", fault)
    sweep.main()


if __name__ == "__main__":
    main()
