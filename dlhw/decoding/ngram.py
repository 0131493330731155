"""A language model of letters: n-grams with Witten-Bell smoothing, as tables in which a whole batch looks up its next letters.

Legend: K symbols 0 to K - 1 (0 is none: padding, or CTC's blank), Q states, each a context that the training text has.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

END = 0  # the end of a text takes the place of the symbol that is none


class NGram:
    """p(symbol | the ``order`` - 1 symbols before it).

    A context that was never seen is shortened until one was; each order mixes what it has seen with the next lower one in the
    proportion of Witten and Bell (The Zero-Frequency Problem, 1991), the lowest with the uniform distribution over symbols and end.

    ``log_probs`` float32 (Q, K): of each next symbol, in nats; that of symbol 0 is no probability and must not be used. ``end`` (Q,): of
    the end of the text. ``next`` int64 (Q, K): the state after it. State 0 is the beginning of a text.

    Args:
        texts: symbols from 1 on.
        symbols: K.
        order: at least 1.
    """

    def __init__(self, texts: Sequence[Sequence[int]], symbols: int, order: int) -> None:
        counts: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        begin = (-1,)
        for text in texts:
            context = begin[: order - 1]
            for symbol in (*text, END):
                for cut in range(len(context) + 1):
                    counts[context[cut:]][symbol] += 1
                context = (*context, symbol)[max(0, len(context) + 2 - order) :] if order > 1 else ()
        contexts = sorted(counts, key=lambda context: context != begin[: order - 1])  # the beginning of a text is state 0
        states = {context: number for number, context in enumerate(contexts)}
        mixed: NDArray[np.float64] = np.empty((len(contexts), symbols))
        following = np.zeros((len(contexts), symbols), np.int64)
        for context in sorted(contexts, key=len):  # a context comes after its own shorter one
            number, shorter = states[context], states.get(context[1:], 0)
            seen, row = counts[context], np.zeros(symbols)
            row[[*seen]] = [*seen.values()]
            lower = mixed[shorter] if context else np.full(symbols, 1 / symbols)
            mixed[number] = (row + len(seen) * lower) / (seen.total() + len(seen))
            following[number] = following[shorter] if context else number
            if len(context) < order - 1:
                for symbol in seen:
                    following[number, symbol] = states.get((*context, symbol), following[number, symbol])
        self.end = torch.from_numpy(np.log(mixed[:, END]).astype(np.float32))
        self.log_probs = torch.from_numpy(np.log(mixed).astype(np.float32))
        self.next = torch.from_numpy(following)

    def log_p(self, text: Sequence[int]) -> float:
        """log p(text), with its end, in nats."""
        state, total = 0, 0.0
        for symbol in text:
            total, state = total + float(self.log_probs[state, symbol]), int(self.next[state, symbol])
        return total + float(self.end[state])
