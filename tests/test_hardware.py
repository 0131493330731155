"""What is asked of the machine, against what the machine itself says."""

import ctypes
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from harness import weights

from dlhw.errors import UserError
from dlhw.hardware import computes_bf16, device_name, flush_subnormals, keep_pages, prepare, set_threads
from dlhw.launch import let_idle_threads_wait_briefly

CPUINFO = Path("/proc/cpuinfo")


def test_pages_are_kept_on_glibc_and_nowhere_else(monkeypatch):
    keep_pages.cache_clear()
    try:
        on_glibc = hasattr(ctypes.CDLL(None), "gnu_get_libc_version")
    except TypeError:  # Windows has no library of the process itself
        on_glibc = False
    assert keep_pages() is on_glibc
    keep_pages.cache_clear()
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: pytest.fail("nothing to call"))
    assert keep_pages() is False
    keep_pages.cache_clear()


@pytest.fixture
def subnormal():
    """A number that is 0 where such numbers are flushed; they are not when the test begins."""
    if not torch.set_flush_denormal(False):
        pytest.skip("this processor cannot be told to flush subnormal numbers")
    number = torch.tensor(1e-40)
    assert number * 1 > 0
    return number


def test_subnormal_numbers_are_flushed_by_all_threads(subnormal):
    """In a process of its own: where the threads are there already, they compute as before."""
    script = """
import torch; from dlhw.hardware import flush_subnormals
assert flush_subnormals()
print(torch.get_num_threads(), (torch.full((1 << 22,), 1e-40) * 1).count_nonzero().item())"""
    done = subprocess.run([sys.executable, "-c", script], env={**os.environ, "OMP_NUM_THREADS": "2"}, capture_output=True, text=True)
    assert done.stdout.split() == ["2", "0"], done.stderr
    assert flush_subnormals() and subnormal * 1 == 0


def test_training_flushes_subnormal_numbers(shell, subnormal):
    """Biases that begin at 0 and are taught at a rate at which they could become nothing but subnormal."""
    shell.run("model=resnet_small", "trainer=smoke", "optim=sgd", "optim.lr=1e-38")
    biases = torch.cat([values for name, values in weights(shell.only_run()).items() if name.endswith("bias")]).double().abs()
    assert (biases == 0).any() and biases[biases > 0].min() > torch.finfo(torch.float32).tiny


@pytest.mark.parametrize(("there", "before", "after"), [(False, {}, ""), (True, {}, None), (False, {"CUDA_VISIBLE_DEVICES": "1"}, "1")])
def test_gpus_are_hidden_only_where_there_are_none(monkeypatch, there, before, after):
    monkeypatch.setattr(os, "environ", before)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    prepare(threads=None)
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == after


def test_no_step_looks_for_a_driver_where_gpus_are_hidden(monkeypatch):
    monkeypatch.setenv("PYTORCH_NVML_BASED_CUDA_CHECK", "1")  # as Lightning sets it
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: pytest.fail("looked for a driver"))
    weight = torch.ones(1, requires_grad=True)
    weight.sum().backward()
    torch.optim.Adam([weight]).step()
    assert weight.item() < 1


@pytest.mark.parametrize("threads", [0, -1, (os.cpu_count() or 1) + 1])
def test_threads_that_the_machine_lacks_are_refused(threads):
    before = torch.get_num_threads()
    with pytest.raises(UserError, match=f"trainer.threads={threads}: this machine has {os.cpu_count()} cores, so 1 to {os.cpu_count()} is"):
        set_threads(threads)
    assert torch.get_num_threads() == before


def test_threads_are_set_where_a_number_is_given():
    before = torch.get_num_threads()
    try:
        set_threads(None)
        assert torch.get_num_threads() == before
        set_threads(os.cpu_count())
        assert torch.get_num_threads() == os.cpu_count()
        set_threads(1)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(not CPUINFO.exists() or platform.machine() != "x86_64", reason="needs /proc/cpuinfo of an x86 processor")
def test_bfloat16_in_hardware_is_what_the_processor_lists():
    flags = next(line for line in CPUINFO.read_text().splitlines() if line.startswith("flags")).split()
    assert computes_bf16(torch.device("cpu")) == bool({"avx512_bf16", "amx_tile"} & set(flags))


def test_bfloat16_on_other_devices(monkeypatch):
    assert computes_bf16(torch.device("mps")) is False
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    assert computes_bf16(torch.device("cuda")) is False  # emulation does not count


@pytest.mark.skipif(not CPUINFO.exists() or "model name" not in CPUINFO.read_text(), reason="needs a /proc/cpuinfo with a model name")
def test_the_processor_is_named_with_its_threads():
    model = next(line for line in CPUINFO.read_text().splitlines() if line.startswith("model name")).partition(":")[2].strip()
    assert device_name(torch.device("cpu")) == f"{model} ({torch.get_num_threads()} threads)"


def test_idle_threads_wait_briefly_unless_the_user_says_how(monkeypatch):
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    let_idle_threads_wait_briefly()
    assert (os.environ["OMP_WAIT_POLICY"], os.environ["GOMP_SPINCOUNT"]) == ("passive", "20000")
    monkeypatch.delenv("GOMP_SPINCOUNT")
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    let_idle_threads_wait_briefly()
    assert os.environ["OMP_WAIT_POLICY"] == "active" and "GOMP_SPINCOUNT" not in os.environ
