"""Batch normalization that bears a batch of one sample."""

from torch import Tensor, nn
from torch.nn import functional as F


class BatchNorm1d(nn.BatchNorm1d):
    """As torch's, but a training batch of one sample, which has no variance, is normalized by the running statistics.

    Such a batch is what may be left at the end of an epoch; torch's own layer would end the training there.

    Shapes: (B, C) -> the same.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # torch's name
        if len(input) > 1 or not self.training:
            return super().forward(input)
        return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
