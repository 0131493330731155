"""A language model of letters: n-grams with Witten-Bell smoothing, as tables in which a whole batch looks up its next letters.

Legend: K symbols 0 to K - 1 (0 is none: padding, or CTC's blank), Q states, each a context that the training text has.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dlhw.errors import UserError

END = 0  # the end of a text takes the place of the symbol that is none
MOST = 2**30  # bytes of the tables, 8 for each symbol of each state


class NGram:
    """p(symbol | the ``order`` - 1 symbols before it).

    A context that was never seen is shortened until one was; each order mixes what it has seen with the next lower one in the
    proportion of Witten and Bell (The Zero-Frequency Problem, 1991), the lowest with the uniform distribution over symbols and end.

    ``log_probs`` float32 (Q, K): of each next symbol, in nats; symbol 0 is the end of the text. ``next`` int32 (Q, K): the state after it.
    State 0 is the beginning of a text.

    Args:
        texts: symbols from 1 on.
        symbols: K.
        order: at least 1.
        device: where the tables are.

    Raises:
        UserError: the tables would take more than ``MOST`` bytes.
    """

    def __init__(self, texts: Sequence[Sequence[int]], symbols: int, order: int, device: torch.device | str = "cpu") -> None:
        counts: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        begin = (-1,)[: order - 1]
        for text in texts:
            context = begin
            for symbol in (*text, END):
                for cut in range(len(context) + 1):
                    counts[context[cut:]][symbol] += 1
                context = (*context, symbol)[max(0, len(context) + 2 - order) :] if order > 1 else ()
        if len(counts) * symbols * 8 > MOST:
            raise UserError(
                f"task.decode.lm_order={order} is out of range: {len(counts):,} contexts of {symbols} symbols would take "
                f"{len(counts) * symbols * 8 / 2**30:.1f} GB, of {MOST / 2**30:.0f} GB that are allowed; a lower one is right"
            )
        contexts = sorted(counts, key=lambda context: context != begin)
        states = {context: number for number, context in enumerate(contexts)}
        mixed = np.empty((len(contexts), symbols), np.float32)
        following = np.zeros((len(contexts), symbols), np.int32)
        for context in sorted(contexts, key=len):  # a context comes after its own shorter one
            number, seen = states[context], counts[context]
            shorter = states[context[1:]] if context else number
            mixed[number] = mixed[shorter] if context else 1 / symbols
            mixed[number] *= len(seen) / (seen.total() + len(seen))
            mixed[number, [*seen]] += np.array([*seen.values()], np.float32) / (seen.total() + len(seen))
            following[number] = following[shorter] if context else number
            if len(context) < order - 1:
                for symbol in seen:
                    following[number, symbol] = states.get((*context, symbol), following[number, symbol])
        self.log_probs: Tensor = torch.from_numpy(np.log(mixed, out=mixed)).to(device)
        self.next: Tensor = torch.from_numpy(following).to(device)

    def log_p(self, text: Sequence[int]) -> float:
        """log p(text), with its end, in nats."""
        state, total = 0, 0.0
        for symbol in (*text, END):
            total, state = total + float(self.log_probs[state, symbol]), int(self.next[state, symbol])
        return total
