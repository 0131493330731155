"""What theory says about a training, to be held against what was measured. Needs no torch."""

import math


def double_softmax_floor(classes: int) -> float:
    """The least cross-entropy (nats) that a softmax over probabilities can reach: log(1 + (C - 1) / e) for C classes.

    The loss's own softmax sees values in 0..1; at best the right one is 1 and the others 0.
    """
    return math.log1p((classes - 1) / math.e)
