"""What the filters of the first convolutions look for: the bases below each filter where it responds.

Legend: N sequences, L padded length in nucleotides, F filters, W length of a filter.
"""

import numpy as np
import torch

from dlhw.data.rna import ALPHABET
from dlhw.explain.sequences_motifs import Filter
from dlhw.explain.sequences_network import Codes, Floats, Network
from dlhw.layers.masked import MaskedConv1d

ABOVE = 0.5  # of a filter's largest response: where it is over this, it has found something


def find_filters(network: Network, codes: Codes, few: Codes) -> list[Filter]:
    """The filters of all first convolutions, those with the largest effect first.

    Args:
        codes: (N, L) probes in which sites are looked for.
        few: probes on which the effect is measured.
    """
    predicted = network(few)
    filters = [
        Filter(place, number, int(sites), counts, network.effect(conv, number, few, usual, predicted))
        for place, conv in enumerate(network.convolutions())
        for number, (sites, counts, usual) in enumerate(_sites(network, conv, codes))
    ]
    return sorted(filters, key=lambda found: -found.effect)


def _sites(network: Network, conv: MaskedConv1d, codes: Codes) -> list[tuple[float, Floats, float]]:
    """Of each filter: how many sites it has, the bases in them (W, 4), and its mean response, before any batch normalisation."""
    filters, width = conv.out_channels, conv.kernel_size[1]
    scale, shift = (part[:, None] for part in network.norm_after(conv))
    most = torch.full((filters,), -torch.inf, device=network.device)
    total, places = torch.zeros(filters, dtype=torch.float64, device=network.device), 0
    for found, _, inside in network.responses(conv, codes):
        most = torch.maximum(most, (found * scale + shift).masked_fill(~inside, -torch.inf).amax(dim=(0, 2)))
        total += (found * inside).sum(dim=(0, 2), dtype=torch.float64)
        places += int(inside.sum())
    counts = torch.zeros(filters, len(ALPHABET) * width, dtype=torch.float64, device=network.device)
    sites = torch.zeros(filters, dtype=torch.float64, device=network.device)
    for found, windows, inside in network.responses(conv, codes):
        said = found * scale + shift
        # a filter whose largest response is not positive never speaks after the ReLU
        there = ((said > ABOVE * most[:, None]) & (said > 0) & inside).transpose(0, 1).flatten(1)  # (F, places)
        counts += (there.float() @ windows.flatten(0, 1).flatten(1)).double()
        sites += there.sum(dim=1)
    means = (total / max(places, 1)).tolist()
    tables = counts.unflatten(1, (len(ALPHABET), width)).transpose(1, 2).cpu().numpy()
    return list(zip(sites.tolist(), np.asarray(tables), means, strict=True))
