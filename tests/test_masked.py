"""Layers for sequences of different lengths, against torch's own on each sequence alone."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from dlhw.errors import UserError
from dlhw.layers.lstm import LSTM
from dlhw.layers.masked import POOLS, BatchNorm, BiLSTM, MaskedConv1d, pool, pooled_width

LENGTHS = (9, 1, 6, 2)


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    """(B, C, L) with large values in the padding, and the mask (B, L)."""
    torch.manual_seed(0)
    mask = torch.arange(9) < torch.tensor(LENGTHS).unsqueeze(1)
    return torch.where(mask.unsqueeze(1), torch.randn(4, 3, 9), 1e3), mask


@pytest.mark.parametrize("dilation", [1, 2, 4])
@pytest.mark.parametrize("kernel", [1, 2, 5, 8, 12])
def test_convolution_equals_that_of_each_sequence_alone(batch, kernel, dilation):
    x, mask = batch
    conv = MaskedConv1d(3, 5, kernel, dilation=dilation)
    plain = nn.Conv1d(3, 5, kernel, dilation=dilation)
    plain.load_state_dict({"weight": conv.weight.squeeze(2), "bias": conv.bias})
    reach = dilation * (kernel - 1)
    y = conv(x, mask)
    assert y.shape == (4, 5, 9)
    for row, length in enumerate(LENGTHS):
        alone = nn.functional.pad(x[row, :, :length], (reach // 2, reach - reach // 2))
        torch.testing.assert_close(y[row, :, :length], plain(alone))


@pytest.mark.parametrize("layers", [1, 2])
def test_bilstm_equals_torchs_on_packed_sequences(batch, layers):
    x, mask = batch
    x = x.transpose(1, 2)
    ours, theirs = BiLSTM(3, 4, layers), nn.LSTM(3, 4, layers, batch_first=True, bidirectional=True)
    same = []  # weights of ours and theirs
    for layer in range(layers):
        for direction, suffix in ((ours.onward, ""), (ours.reverse, "_reverse")):
            for name, weight in direction[layer].named_parameters():
                same.append((weight, getattr(theirs, f"{name.removesuffix('_l0')}_l{layer}{suffix}")))
    for our, their in same:
        their.data.copy_(our.data)
    packed = pack_padded_sequence(x, torch.tensor(LENGTHS), batch_first=True, enforce_sorted=False)
    expected, _ = pad_packed_sequence(theirs(packed)[0], batch_first=True)
    found = ours(x, mask)
    torch.testing.assert_close(found[mask], expected[mask])
    towards = torch.randn(found[mask].shape)
    for y in (found, expected):
        (y[mask] * towards).sum().backward()
    for our, their in same:
        torch.testing.assert_close(our.grad, their.grad)


def test_dropout_of_the_lstm_is_between_layers_only(batch):
    x, mask = batch
    one, two = (BiLSTM(3, 4, layers, dropout=0.5).train() for layers in (1, 2))
    x = x.transpose(1, 2)
    assert torch.equal(one(x, mask), one(x, mask))
    assert not torch.equal(two(x, mask), two(x, mask))


def test_pooling_is_over_the_sequence_alone(batch):
    x, mask = batch
    pooled = {how: pool(x, mask, how) for how in POOLS}
    for row, length in enumerate(LENGTHS):
        alone = x[row, :, :length]
        torch.testing.assert_close(pooled["max"][row], alone.amax(dim=1))
        torch.testing.assert_close(pooled["mean"][row], alone.mean(dim=1))
    assert torch.equal(pooled["max_mean"], torch.cat([pooled["max"], pooled["mean"]], dim=1))
    assert [pooled_width(3, how) for how in POOLS] == [pooled[how].shape[1] for how in POOLS]
    with pytest.raises(UserError, match=r"model\.pool=median is not one of mean, max, max_mean"):
        pooled_width(3, "median")


def test_the_maximum_of_negative_values_is_no_zero_of_the_padding():
    x = torch.full((1, 1, 3), -5.0)
    assert pool(x, torch.tensor([[True, False, False]]), "max").item() == -5


def test_batch_norm_equals_torchs(batch):
    x, _ = batch
    ours, theirs = BatchNorm(3), nn.BatchNorm1d(3)
    torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours.running_var, theirs.running_var)


@pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))]
)
def test_an_lstm_takes_states_that_are_no_block_in_memory(device):
    """As the halves of one tensor are; packed or not, under autocast as well, where a GPU would compute in float16 alone."""
    torch.manual_seed(0)
    own = LSTM(3, 4, batch_first=True).to(device)
    plain = nn.LSTM(3, 4, batch_first=True).to(device)
    plain.load_state_dict(own.state_dict())
    x, halves = torch.randn(2, 5, 3, device=device), torch.randn(2, 8, device=device).chunk(2, dim=1)
    state = tuple(half.unsqueeze(0) for half in halves)
    expected = plain(x, tuple(part.contiguous() for part in state))[0]
    torch.testing.assert_close(own(x, state)[0], expected)
    packed = pack_padded_sequence(x, torch.tensor([5, 5]), batch_first=True)
    torch.testing.assert_close(pad_packed_sequence(own(packed, state)[0], batch_first=True)[0], expected)
    with torch.autocast(device, torch.bfloat16):
        assert own(x, state)[0].dtype == (torch.float32 if device == "cuda" else torch.bfloat16)
