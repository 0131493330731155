"""torch's LSTM, computed in the precision of its weights on GPUs."""

from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence


class LSTM(nn.LSTM):
    """On CUDA, autocast computes recurrent layers in float16 even where it was asked for bfloat16, and without scaled gradients the small
    ones become 0; so it is left out there. States may be of any layout in memory, of which cuDNN takes one only.
    """

    def forward(self, x: Any, state: Any = None) -> Any:
        """As torch's, of a tensor or a packed sequence."""
        state = None if state is None else tuple(part.contiguous() for part in state)
        if (x.data if isinstance(x, PackedSequence) else x).device.type != "cuda":
            return super().forward(x, state)
        dtype = self.weight_ih_l0.dtype
        with torch.autocast("cuda", enabled=False):
            return super().forward(x.to(dtype), None if state is None else tuple(part.to(dtype) for part in state))
