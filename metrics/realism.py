"""Do edited pictures look like the model's plain ones?"""

import warnings

import torch
from jaxtyping import Float
from torch import Tensor, nn

LEAST = 200
"""Pictures that either side needs."""
SUBSETS, SUBSET_SIZE = 100, 100
SEED = 0


def realism(edited: Float[Tensor, "edits dim"], plain: Float[Tensor, "pictures dim"], seed: int = SEED) -> float:
    """Kernel Inception Distance (Binkowski et al., 2018) between features of edited and of plain pictures.

    torchmetrics' unbiased estimate with the polynomial kernel (x.y / dim + 1)^3, averaged over `SUBSETS` random subsets
    of `SUBSET_SIZE` pictures a side; 0 for one distribution, and then a little below 0 about as often as above. With
    features of unit length the values are small: read them beside each other, not beside those of other features.

    Args:
        edited, plain: at least `LEAST` features each, such as CLIP's image embeddings.
        seed: of the subsets; the same features and seed give the same value.

    Raises:
        ValueError: there are too few features, or they are of different widths.
    """
    if min(len(edited), len(plain)) < LEAST:
        raise ValueError(f"realism needs {LEAST} features a side, got {len(edited)} and {len(plain)}")
    if edited.shape[1] != plain.shape[1]:
        raise ValueError(f"features: expected two of one width, got {edited.shape[1]} and {plain.shape[1]}")
    from torchmetrics.image.kid import KernelInceptionDistance

    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]), torch.no_grad():
        warnings.simplefilter("ignore", UserWarning)  # torchmetrics keeps all features, which is meant
        torch.manual_seed(seed)
        distance = KernelInceptionDistance(feature=nn.Identity(), subsets=SUBSETS, subset_size=SUBSET_SIZE)
        distance.update(plain.double(), real=True)
        distance.update(edited.double(), real=False)
        return float(distance.compute()[0])
