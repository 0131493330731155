"""The floor of the double softmax against a direct minimisation."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp

from dlhw.theory import double_softmax_floor


@pytest.mark.parametrize(("classes", "about"), [(2, 0.313), (8, 1.274), (10, 1.461)])
def test_no_probabilities_reach_a_lower_cross_entropy(classes, about):
    def loss(p):  # of class 0, where the loss applies its own softmax to the probabilities p
        return logsumexp(p) - p[0]

    start = np.random.default_rng(0).dirichlet(np.ones(classes))
    sum_to_one = {"type": "eq", "fun": lambda p: p.sum() - 1}
    found = minimize(loss, start, bounds=[(0, 1)] * classes, constraints=[sum_to_one], options={"ftol": 1e-12})
    assert found.success
    assert double_softmax_floor(classes) == pytest.approx(found.fun, abs=1e-6)
    assert double_softmax_floor(classes) == pytest.approx(about, abs=5e-4)
