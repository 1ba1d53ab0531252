"""Is it still the same person?"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def identity_distance(source: Float[Tensor, " dim"], target: Float[Tensor, " dim"]) -> float:
    """1 - cosine of the embeddings of two detected, aligned faces, in [0, 2]; 0 for equal pictures."""
    return max(1 - float(F.cosine_similarity(source, target, dim=0)), 0.0)
