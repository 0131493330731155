"""R15: pictures of text lines to letters by CTC.

Legend: B batch, H height, W width, S steps along the line, K classes: CTC's blank and the symbols of the training split.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from dlhw.layers.line_encoder import LineEncoder
from dlhw.specs import LineSpec, wants


class CRNN(nn.Module):
    """Convolutions, bidirectional LSTMs and one linear layer (Shi et al., An End-to-End Trainable Neural Network for Image-based Sequence
    Recognition, TPAMI 2017, https://arxiv.org/abs/1507.05717); what differs stands at :class:`dlhw.layers.line_encoder.LineEncoder`.

    The classes are the blank and the symbols alone, so nothing else can be printed: class 0 is the blank, class k the symbol of id k + 3.

    Args:
        channels, pools, hidden, layers, dropout: see :class:`dlhw.layers.line_encoder.LineEncoder`.

    Shapes: ink (B, 1, H, W) with widths (B,) -> logits (B, S, K) with lengths (B,).
    """

    head = "ctc"

    def __init__(
        self,
        spec: LineSpec,
        *,
        channels: Sequence[int] = (16, 32, 64, 128),
        pools: Sequence[Sequence[int]] = ((2, 2), (2, 2), (2, 1), (2, 1)),
        hidden: int = 192,
        layers: int = 2,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        wants(spec, LineSpec, "crnn_ctc")
        self.encoder = LineEncoder(spec.height, channels, pools, hidden, layers, dropout)
        self.classifier = nn.Linear(self.encoder.width, 1 + len(spec.target))

    def steps(self, widths: Tensor) -> Tensor:
        """How many steps lines of ``widths`` columns have: int64, the shape of ``widths``."""
        return self.encoder.steps(widths)

    def forward(self, inputs: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        states, lengths = self.encoder(*inputs)
        return self.classifier(states), lengths
