"""Attention of a decoder's states over an encoder's: additive and multiplicative, with places that are masked out.

Legend: B batch, T queries, S places of the memory, Q width of a query, M width of the memory, A width of the comparison.
"""

import torch
from torch import Tensor, nn

MOST = 2**24  # values that a comparison of queries and places may have at once where nothing is differentiated


class BahdanauAttention(nn.Module):
    """Additive attention: e = v' tanh(Ws s + Wh h) (Bahdanau, Cho and Bengio, 2015, https://arxiv.org/abs/1409.0473)."""

    def __init__(self, query: int, memory: int, width: int) -> None:
        super().__init__()
        self.of_query = nn.Linear(query, width, bias=False)
        self.of_memory = nn.Linear(memory, width, bias=False)
        self.score = nn.Linear(width, 1, bias=False)

    def keys(self, memory: Tensor) -> Tensor:
        """What of the memory does not depend on the query, computed once: (B, S, M) -> (B, S, A)."""
        return self.of_memory(memory)

    def forward(self, query: Tensor, keys: Tensor, memory: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Contexts and weights.

        Args:
            query: (B, T, Q).
            keys: what :meth:`keys` gave, (B, S, A).
            memory: (B, S, M).
            mask: bool (B, S), False where there is padding, which gets no weight.

        Returns:
            (B, T, M), and weights (B, T, S) whose rows sum to 1.
        """
        queries = self.of_query(query)
        at_once = query.shape[1] if torch.is_grad_enabled() else max(1, MOST // keys.numel())
        sums = (part.unsqueeze(2) + keys.unsqueeze(1) for part in queries.split(at_once, dim=1))  # (B, T, S, A)
        return attend(torch.cat([self.score(part.tanh()).squeeze(-1) for part in sums], dim=1), memory, mask)


class DotAttention(nn.Module):
    """Multiplicative attention: e = s'h, or s'Wh where the widths differ (Luong et al., 2015, https://arxiv.org/abs/1508.04025)."""

    def __init__(self, query: int, memory: int, width: int) -> None:
        super().__init__()
        self.of_memory = nn.Identity() if query == memory else nn.Linear(memory, query, bias=False)

    def keys(self, memory: Tensor) -> Tensor:
        """(B, S, M) -> (B, S, Q)."""
        return self.of_memory(memory)

    def forward(self, query: Tensor, keys: Tensor, memory: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`BahdanauAttention.forward`."""
        return attend(query @ keys.transpose(1, 2), memory, mask)


ATTENTIONS: dict[str, type[BahdanauAttention] | type[DotAttention]] = {"bahdanau": BahdanauAttention, "dot": DotAttention}


def attend(scores: Tensor, memory: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax over the places that are not masked, then the weighted mean of the memory: (B, T, M) and (B, T, S)."""
    weights = scores.float().masked_fill(~mask.unsqueeze(1), float("-inf")).softmax(dim=-1).to(memory.dtype)
    return weights @ memory, weights
