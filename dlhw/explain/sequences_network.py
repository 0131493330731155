"""What is asked of a network that reads RNA, for one of its proteins: predictions, gradients, attention, filters.

Legend: N sequences, L padded length in nucleotides, n nucleotides of one sequence, B batch, F filters, W length of a filter.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import TqdmWarning

from dlhw.data.rna import ALPHABET, PADDING, one_hot
from dlhw.layers.masked import BatchNorm, MaskedConv1d
from dlhw.tasks.regress import Regression

with warnings.catch_warnings():
    warnings.simplefilter("ignore", TqdmWarning)  # in Jupyter, of widgets for a progress bar that is not shown
    from captum.attr import IntegratedGradients

Codes = NDArray[np.uint8]
Floats = NDArray[np.float64]
STEPS = 200  # of the path that gradients are integrated along


class Network:
    """The network of a run, for the protein of one column of its output.

    Calling it with codes (N, L) gives predictions (N,), in the unit that was learnt: :func:`dlhw.data.rbp_scale.unit_of`.
    """

    def __init__(self, task: Regression, column: int, batch_size: int) -> None:
        self.net, self.device, self.column, self.batch_size = task.evaluated.eval(), task.device, column, batch_size

    @torch.inference_mode()
    def __call__(self, codes: Codes) -> Floats:
        parts = [self.net(bases, mask)[:, self.column].double().cpu().numpy() for bases, mask in self.batches(codes)]
        return np.concatenate(parts) if parts else np.empty(0)

    def batches(self, codes: Codes) -> Iterator[tuple[Tensor, Tensor]]:
        """What the network reads: bases (B, 4, L) and mask (B, L)."""
        for begin in range(0, len(codes), self.batch_size):
            yield one_hot(torch.from_numpy(np.ascontiguousarray(codes[begin : begin + self.batch_size])).to(self.device))

    def mutations(self, codes: Codes) -> Floats:
        """The change of the prediction if a base were another, for one sequence (L,): (n, 4), 0 for the base that is there."""
        n = int((codes != PADDING).sum())
        mutants = np.repeat(codes[None], n * len(ALPHABET), axis=0)
        mutants[np.arange(len(mutants)), np.repeat(np.arange(n), len(ALPHABET))] = np.tile(np.arange(len(ALPHABET)), n)
        return (self(mutants) - self(codes[None])).reshape(n, len(ALPHABET))

    def integrated_gradients(self, codes: Codes) -> tuple[Floats, float]:
        """How much each base of one sequence (L,) adds to the prediction (Sundararajan et al., 2017), and what is missing.

        The path begins where every base is unknown (N). Returns (n,) contributions, whose sum is the difference of the predictions for
        the sequence and for as many N, but for an error of the integration: the second value.
        """
        bases, mask = next(self.batches(codes[None]))
        unknown = mask.unsqueeze(1) * torch.full_like(bases, 1 / len(ALPHABET))
        with torch.backends.cudnn.flags(enabled=False):  # cuDNN's LSTM has no gradient in evaluation
            method = IntegratedGradients(self.net)
            parts, missing = method.attribute(
                bases,
                unknown,
                target=self.column,
                additional_forward_args=(mask,),
                n_steps=STEPS,
                internal_batch_size=self.batch_size,
                return_convergence_delta=True,
            )
        n = int(mask.sum())
        return parts[0, :, :n].sum(dim=0).detach().double().cpu().numpy(), float(missing)

    @torch.inference_mode()
    def attention(self, codes: Codes) -> Floats | None:
        """The weight of each position of one sequence (L,), which sum to 1: (n,); None where the network has no attention.

        Of self-attention this is the mean over the positions that ask.
        """
        bases, mask = next(self.batches(codes[None]))
        self.net(bases, mask)
        weights = getattr(self.net, "weights", None)
        if weights is None:
            return None
        n = int(mask.sum())
        received = weights[0, :n, :n].mean(dim=0) if weights.dim() == 3 else weights[0, :n]
        return received.double().cpu().numpy()

    def convolutions(self) -> list[MaskedConv1d]:
        """The convolutions that read the bases: the network's ``motifs``, one or several; none where it has no such attribute, or None."""
        motifs = getattr(self.net, "motifs", None)
        return [layer for layer in motifs.modules() if isinstance(layer, MaskedConv1d)] if motifs is not None else []

    def norm_after(self, conv: MaskedConv1d) -> tuple[Tensor, Tensor]:
        """What the batch normalisation after a convolution over the bases multiplies its filters with, and adds: (F,), (F,).

        It is that of all such convolutions that stand before it in the network, side by side; 1 and 0 where there is none.
        """
        before: list[MaskedConv1d] = []
        for layer in self.net.modules():
            if layer in self.convolutions():
                before.append(layer)
            elif isinstance(layer, BatchNorm) and conv in before and layer.num_features == sum(one.out_channels for one in before):
                fitted, place, sizes = layer.state_dict(), before.index(conv), [one.out_channels for one in before]
                scale = fitted["weight"] * (fitted["running_var"] + layer.eps).rsqrt()
                shift = fitted["bias"] - fitted["running_mean"] * scale
                return scale.split(sizes)[place], shift.split(sizes)[place]
            elif isinstance(layer, MaskedConv1d | BatchNorm):
                before = []
        return torch.ones(conv.out_channels, device=self.device), torch.zeros(conv.out_channels, device=self.device)

    @torch.inference_mode()
    def responses(self, conv: MaskedConv1d, codes: Codes) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """What the filters of a convolution say, and where they lie whole within a sequence.

        Yields for each batch the responses (B, F, L - W + 1), the windows that they are about (B, L - W + 1, 4, W), and which of these
        lie within the sequence (B, 1, L - W + 1).
        """
        width = conv.kernel_size[1]
        for bases, mask in self.batches(codes):
            found = conv(bases, mask)[:, :, (width - 1) // 2 :][:, :, : bases.shape[2] - width + 1]
            inside = mask[:, width - 1 :].unsqueeze(1)  # the last base of the window
            windows = bases.unfold(2, width, 1).transpose(1, 2)
            yield found, windows, inside

    def effect(self, conv: MaskedConv1d, number: int, codes: Codes, usual: float, predicted: Floats) -> float:
        """The root mean square change of the predictions where a filter always says ``usual``."""
        with _replaced(conv, number, usual):
            return float(np.sqrt(np.mean((self(codes) - predicted) ** 2)))


@contextmanager
def _replaced(layer: nn.Module, channel: int, value: float) -> Iterator[None]:
    def replace(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        output = output.clone()
        output[:, channel] = value
        return output

    handle = layer.register_forward_hook(replace)
    try:
        yield
    finally:
        handle.remove()
