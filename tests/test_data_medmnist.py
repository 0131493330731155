"""MedMNIST: where files are looked for, what is read from them, and what is said about a wrong one."""

import hashlib
import re
import zipfile

import numpy as np
import pytest

from dlhw.data import download, image_arrays, medmnist, npz
from dlhw.data.medmnist import MedMNISTData, medmnist_info
from dlhw.errors import UserError

FLAGS = [flag for flag in medmnist_info() if not flag.endswith("3d")]


def arrays_of(flag: str, size: int = 28, n: int = 6) -> dict[str, np.ndarray]:
    """What the file of a set holds, with ``n`` random pictures a split."""
    info, rng = medmnist_info()[flag], np.random.default_rng(0)
    channels = () if info["n_channels"] == 1 else (3,)
    multi = info["task"].startswith("multi-label")
    shape, top = ((n, len(info["label"])), 2) if multi else ((n, 1), len(info["label"]))
    arrays = {}
    for split in ("train", "val", "test"):
        arrays[f"{split}_images"] = rng.integers(0, 256, (n, size, size, *channels), dtype=np.uint8)
        arrays[f"{split}_labels"] = rng.integers(0, top, shape).astype(np.uint8)
    return arrays


def data_of(folder, flag="bloodmnist", **options) -> MedMNISTData:
    return MedMNISTData(flag=flag, data_root=str(folder), batch_size=2, eval_batch_size=2, **options)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Whatever is not in a test's own folder cannot be reached."""

    def refuse(request, timeout):
        raise OSError("network is off in tests")

    monkeypatch.setattr(download.urllib.request, "urlopen", refuse)


@pytest.mark.parametrize("flag", FLAGS)
def test_every_2d_set_declares_what_it_is(tmp_path, flag):
    arrays, info = arrays_of(flag), medmnist_info()[flag]
    np.savez(tmp_path / f"{flag}.npz", **arrays)
    data = data_of(tmp_path, flag)
    data.setup()
    assert data.spec.classes == tuple(info["label"][str(k)] for k in range(len(info["label"])))
    assert data.spec.labels == {"multi-label, binary-class": "multi-label"}.get(info["task"], info["task"])
    assert (data.spec.channels, data.spec.height, data.spec.width) == (info["n_channels"], 28, 28)
    for name, split in data.splits.items():
        assert split.inputs.shape == (6, 28, 28, info["n_channels"]) and split.inputs.dtype == np.uint8
        assert np.array_equal(split.inputs.reshape(-1), arrays[f"{name}_images"].reshape(-1))
        several = data.spec.labels == "multi-label"
        assert split.targets.dtype == (np.float32 if several else np.int64)
        assert np.array_equal(split.targets, arrays[f"{name}_labels"] if several else arrays[f"{name}_labels"][:, 0])
    inputs, targets, index = next(iter(data.train_dataloader()))[0]
    assert len(inputs) == len(targets) == len(index) == 2


@pytest.mark.parametrize("size", [28, 64, 128, 224])
def test_the_file_name_follows_the_size(tmp_path, size):
    name = "breastmnist.npz" if size == 28 else f"breastmnist_{size}.npz"
    (tmp_path / "medmnist").mkdir()
    np.savez_compressed(tmp_path / "medmnist" / name, **arrays_of("breastmnist", size, 2))
    data = data_of(tmp_path, "breastmnist", size=size)
    data.setup()
    assert data.spec.height == size
    assert data.checksums == {name: hashlib.sha256((tmp_path / "medmnist" / name).read_bytes()).hexdigest()}


def test_the_medmnist_folder_comes_first(tmp_path):
    (tmp_path / "medmnist").mkdir()
    np.savez(tmp_path / "bloodmnist.npz", **arrays_of("bloodmnist", n=2))
    np.savez(tmp_path / "medmnist" / "bloodmnist.npz", **arrays_of("bloodmnist", n=3))
    data = data_of(tmp_path)
    data.setup()
    assert len(data.splits["train"].inputs) == 3


def test_a_file_is_read_once_and_again_when_it_has_changed(tmp_path):
    np.savez(tmp_path / "bloodmnist.npz", **arrays_of("bloodmnist"))
    first, second, third = data_of(tmp_path), data_of(tmp_path), data_of(tmp_path)
    first.setup(), second.setup()
    assert np.shares_memory(first.splits["train"].inputs, second.splits["train"].inputs)
    np.savez(tmp_path / "bloodmnist.npz", **arrays_of("bloodmnist", n=7))
    third.setup()
    assert len(third.splits["train"].inputs) == 7 and third.checksums != first.checksums


@pytest.mark.parametrize("flag", ["bloodmnist", "breastmnist"])
def test_a_large_set_is_mapped_from_the_disk(tmp_path, monkeypatch, flag):
    np.savez_compressed(tmp_path / f"{flag}.npz", **arrays_of(flag))
    in_memory = data_of(tmp_path, flag, normalize="train")
    in_memory.setup()
    monkeypatch.setattr(npz, "IN_MEMORY", 0)
    monkeypatch.setattr(npz, "BLOCK", 1000)
    monkeypatch.setattr(image_arrays, "CHUNK", 5000)
    npz._load.cache_clear()
    unpacked = tmp_path / f"{flag}.npz.unpacked" / "train_images.npy"
    for _ in range(2):
        npz._load.cache_clear()
        mapped = data_of(tmp_path, flag, normalize="train")
        mapped.setup()
        assert isinstance(mapped.splits["train"].inputs, np.memmap) and mapped.spec == in_memory.spec
        for name in ("train", "val", "test"):
            assert np.array_equal(mapped.splits[name].inputs, in_memory.splits[name].inputs)
            assert np.array_equal(mapped.splits[name].targets, in_memory.splits[name].targets)
        assert sorted(path.name for path in unpacked.parent.iterdir()) == ["test_images.npy", "train_images.npy", "val_images.npy"]
        unpacked.write_bytes(unpacked.read_bytes()[:-1])  # as a copy that was cut short: made anew

    changed = {**arrays_of(flag), "train_images": 255 - arrays_of(flag)["train_images"]}  # another set of the same size
    np.savez_compressed(tmp_path / f"{flag}.npz", **changed)
    again = data_of(tmp_path, flag)
    again.setup()
    assert np.array_equal(again.splits["train"].inputs.reshape(-1), changed["train_images"].reshape(-1))


def test_statistics_of_the_training_split(tmp_path, monkeypatch):
    arrays = arrays_of("bloodmnist")
    np.savez(tmp_path / "bloodmnist.npz", **arrays)
    monkeypatch.setattr(image_arrays, "CHUNK", 4000)  # several chunks
    data = data_of(tmp_path, normalize="train")
    data.setup()
    pixels = arrays["train_images"].reshape(-1, 3) / 255
    assert data.spec.mean == pytest.approx(pixels.mean(axis=0)) and data.spec.std == pytest.approx(pixels.std(axis=0))


@pytest.mark.parametrize(
    ("knobs", "says"),
    [
        ({"flag": "bloodmnsit"}, r"flag=bloodmnsit is not a 2D set.*did you mean bloodmnist\?"),
        ({"flag": "PathMNIST"}, r"did you mean pathmnist"),
        ({"flag": "zzz"}, r"flag=zzz is not a 2D set of MedMNIST: There are pathmnist"),
        ({"flag": "organmnist3d"}, r"flag=organmnist3d is not a 2D set"),
        ({"size": 32}, r"size=32 is not one of 28, 64, 128, 224"),
    ],
)
def test_a_wrong_knob_is_refused(tmp_path, knobs, says):
    with pytest.raises(UserError, match=says):
        data_of(tmp_path, **knobs)


def without(key):
    return lambda arrays: arrays.pop(key)


def put(key, change):
    return lambda arrays: arrays.update({key: change(arrays[key])})


@pytest.mark.parametrize(
    ("flag", "damage", "says"),
    [
        ("bloodmnist", without("val_labels"), r"bloodmnist.npz lacks val_labels; it holds test_images"),
        ("bloodmnist", put("val_images", lambda a: a.astype(np.float32)), r"val_images is float32.*uint8 \(N, 28, 28, 3\)"),
        ("bloodmnist", put("val_images", lambda a: a[..., 0]), r"val_images is uint8 \(6, 28, 28\).*uint8 \(N, 28, 28, 3\)"),
        ("breastmnist", put("val_images", lambda a: a[..., None].repeat(3, -1)), r"val_images is.*uint8 \(N, 28, 28\)$"),
        (
            "bloodmnist",
            lambda a: a.update(arrays_of("bloodmnist", 64)),
            r"uint8 \(6, 64, 64, 3\).*bloodmnist_64.npz, for task.data.size=64",
        ),
        ("bloodmnist", put("test_labels", lambda a: a.astype(float)), r"test_labels is float64.*integers \(N, 1\) are right"),
        ("bloodmnist", put("test_labels", lambda a: a.repeat(2, 1)), r"test_labels is uint8 \(6, 2\)"),
        ("chestmnist", put("test_labels", lambda a: a[:, :3]), r"test_labels is uint8 \(6, 3\); integers \(N, 14\)"),
        ("bloodmnist", put("train_labels", lambda a: a * 0 + 8), r"label 8 of train, row 0, is out of range: 0 to 7"),
        ("chestmnist", put("train_labels", lambda a: a + 1), r"of train, row 0, is out of range: 0 to 1"),
        ("bloodmnist", put("train_labels", lambda a: a[:4]), r"train has 6 pictures and 4 labels"),
        ("bloodmnist", lambda a: a.update(arrays_of("bloodmnist", n=0)), r"train is empty"),
        ("bloodmnist", put("train_labels", lambda a: a.astype(object)), r"cannot be read \(Object arrays.*plain numbers is right"),
    ],
)
def test_a_wrong_array_is_named(tmp_path, flag, damage, says):
    arrays = arrays_of(flag)
    damage(arrays)
    np.savez(tmp_path / f"{flag}.npz", **arrays)
    with pytest.raises(UserError, match=says) as error:
        data_of(tmp_path, flag).setup()
    assert str(tmp_path / f"{flag}.npz") in str(error.value)


def flipped(path, member: str) -> bytes:
    """The file with one bit of a member's data turned over."""
    raw = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        raw[archive.getinfo(member).header_offset + 3000] ^= 1
    return bytes(raw)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.read_bytes()[:-100],
        lambda path: path.read_bytes()[:5000],
        lambda path: b"<html>404</html>",
        lambda path: b"",
        lambda path: flipped(path, "train_images.npy"),
    ],
    ids=["cut", "cut early", "no zip", "empty", "flipped bit"],
)
def test_a_damaged_file_is_named(tmp_path, save, damage):
    path = tmp_path / "bloodmnist.npz"
    save(path, **arrays_of("bloodmnist"))
    path.write_bytes(damage(path))
    with pytest.raises(UserError, match=re.escape(str(path)) + r" cannot be read .*fetch it again"):
        data_of(tmp_path).setup()


def test_a_file_that_can_neither_be_found_nor_fetched(tmp_path):
    with pytest.raises(UserError) as error:
        data_of(tmp_path / "data", size=64).setup()
    for part in (
        "bloodmnist_64.npz is missing",
        str(tmp_path / "data" / "medmnist" / "bloodmnist_64.npz"),
        str(tmp_path / "data" / "bloodmnist_64.npz"),
        "https://zenodo.org/",
        "network is off in tests",
        "DLHW_DATA",
        "data_root=",
        "task=digits",
    ):
        assert part in str(error.value)
    assert not (tmp_path / "data").exists()


def test_what_is_missing_is_downloaded(tmp_path, monkeypatch):
    def fetch(url, path, md5):
        asked.append((url, path.relative_to(tmp_path).as_posix(), md5))
        path.parent.mkdir()
        np.savez(path, **arrays_of("bloodmnist", 64))

    asked: list[tuple[str, str, str]] = []
    monkeypatch.setattr(medmnist, "download", fetch)
    data_of(tmp_path, size=64).setup()
    data_of(tmp_path, size=64).setup()  # is there now
    info = medmnist_info()["bloodmnist"]
    assert asked == [(info["url_64"], "medmnist/bloodmnist_64.npz", info["MD5_64"])]


@pytest.mark.realdata
def test_real_bloodmnist(data_root):
    data = data_of(data_root)
    data.setup()
    assert {name: len(split.inputs) for name, split in data.splits.items()} == {"train": 11959, "val": 1712, "test": 3421}
    assert np.bincount(data.splits["test"].targets).tolist() == [244, 624, 311, 579, 243, 284, 666, 470]
    assert len(data.spec.classes) == 8 and data.spec.classes[7] == "platelet"
