"""Your own pictures: layouts, archives, the cut into splits, and what is said about wrong ones."""

import io
import os
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlhw.data.images import ImageFolderData
from dlhw.data.picture_files import decode
from dlhw.errors import UserError


def encoded(picture: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def coloured(seed: int, size: tuple[int, int] = (9, 7)) -> bytes:
    """A PNG of one random colour."""
    return encoded(Image.new("RGB", size, tuple(np.random.default_rng(seed).integers(0, 256, 3).tolist())))


def make(root: Path, folders: dict[str, int]) -> Path:
    """A folder with so many pictures in each of its folders, each with another content."""
    seed = 0
    for folder, count in folders.items():
        (root / folder).mkdir(parents=True)
        for number in range(count):
            (root / folder / f"{number:02}.png").write_bytes(coloured(seed := seed + 1))
    return root


def data_of(path: Path | str, **options) -> ImageFolderData:
    data = ImageFolderData(path=str(path), **({"size": 8, "batch_size": 2, "eval_batch_size": 2} | options))
    data.setup()
    return data


def names_of(data: ImageFolderData) -> dict[str, tuple[str, ...]]:
    return {name: split.names for name, split in data.splits.items()}


def counts_of(data: ImageFolderData) -> dict[str, list[int]]:
    return {name: np.bincount(split.targets).tolist() for name, split in data.splits.items()}


SPLITS = {f"{split}/{name}": count for split, count in (("train", 10), ("val", 2), ("test", 3)) for name in ("cat", "dog")}
TRAIN_TEST = {folder: count for folder, count in SPLITS.items() if not folder.startswith("val")}


def test_split_folders_are_taken_as_they_are(tmp_path):
    data = data_of(make(tmp_path / "pets", SPLITS))
    assert counts_of(data) == {"train": [10, 10], "val": [2, 2], "test": [3, 3]}
    assert data.spec.classes == ("cat", "dog") and (data.spec.channels, data.spec.height, data.spec.width) == (3, 8, 8)
    for split in data.splits.values():
        assert split.inputs.dtype == np.uint8 and split.inputs.shape[1:] == (8, 8, 3)
        for picture, target, name in zip(split.inputs, split.targets, split.names, strict=True):
            assert data.spec.classes[target] == name.split("/")[1]
            assert np.array_equal(picture, decode((tmp_path / "pets" / name).read_bytes(), 8, 3))
    inputs, _, index = next(iter(data.train_dataloader()))[0]
    assert np.array_equal(inputs.numpy(), data.splits["train"].inputs[index.numpy()])


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Val"])
def test_other_names_of_the_validation_folder(tmp_path, name):
    make(tmp_path, TRAIN_TEST | {f"{name}/cat": 2, f"{name}/dog": 1})
    assert counts_of(data_of(tmp_path)) == {"train": [10, 10], "val": [2, 1], "test": [3, 3]}


def test_a_missing_validation_folder_is_cut_from_train_alone(tmp_path):
    data = data_of(make(tmp_path, TRAIN_TEST), val_share=0.3)
    assert counts_of(data) == {"train": [7, 7], "val": [3, 3], "test": [3, 3]}
    assert all(name.startswith("train/") for name in data.splits["val"].names)
    assert not set(data.splits["val"].names) & set(data.splits["train"].names)


def test_intels_nested_folders(tmp_path):
    folders = {f"seg_{s}/seg_{s}/{name}": 4 for s in ("train", "test") for name in ("sea", "street")}
    data = data_of(make(tmp_path, folders | {"seg_pred/seg_pred": 3}), val_share=0.25)
    assert counts_of(data) == {"train": [3, 3], "val": [1, 1], "test": [4, 4]}


def test_class_folders_are_cut_by_seed_and_class(tmp_path):
    make(tmp_path, {"cat": 20, "dog": 10, "train": 10})  # a class may be called train
    data = data_of(tmp_path, val_share=0.2, test_share=0.1)
    assert counts_of(data) == {"train": [14, 7, 7], "val": [4, 2, 2], "test": [2, 1, 1]}
    names = names_of(data)
    assert sorted(sum(names.values(), ())) == sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/*"))
    assert names == names_of(data_of(tmp_path, val_share=0.2, test_share=0.1, seed=5))
    assert names != names_of(data_of(tmp_path, val_share=0.2, test_share=0.1, split_seed=1))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_names_that_are_no_utf_8(tmp_path):
    make(tmp_path, {"cat": 4, "dog": 4})
    os.rename(tmp_path / "cat", os.fsencode(tmp_path) + b"/caf\xe9")
    os.rename(next((tmp_path / "dog").iterdir()), os.fsencode(tmp_path) + b"/dog/caf\xe9.png")
    data = data_of(tmp_path, val_share=0.25, test_share=0.25)
    assert counts_of(data) == {"train": [2, 2], "val": [1, 1], "test": [1, 1]}
    assert data.spec.classes == (os.fsdecode(b"caf\xe9"), "dog")


def zipped(folder: Path, target: Path, top: str = "") -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, f"{top}{path.relative_to(folder)}")
    return target


def tarred(folder: Path, target: Path, top: str = "") -> Path:
    with tarfile.open(target, "w") as archive:
        archive.add(folder, top or ".")
    return target


@pytest.mark.parametrize("folders", [SPLITS, TRAIN_TEST, {"cat": 9, "dog": 8}])
@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("top", ["", "all/of/it/"])
def test_an_archive_is_read_as_the_folder_is(tmp_path, folders, pack, top):
    folder = make(tmp_path / "set", folders)
    archive = pack(folder, tmp_path / f"packed.{pack.__name__[:3]}", top)
    plain, packed = data_of(folder), data_of(archive)
    for name in ("train", "val", "test"):
        assert np.array_equal(plain.splits[name].inputs, packed.splits[name].inputs)
        assert packed.splits[name].names == tuple(top + file for file in plain.splits[name].names)
    assert list(packed.checksums) == [archive.name] and (packed.checksums[archive.name] == plain.checksums["set"]) == (not top)


def test_clutter_is_passed_over_and_other_files_beside_the_classes_too(tmp_path):
    make(tmp_path / "set", {"cat": 4, "dog": 4, ".cache": 1, "__MACOSX/cat": 1, "cat/.thumbnails": 1})
    for name in ("cat/.DS_Store", "dog/Thumbs.db", "dog/._01.png", "README.md"):
        (tmp_path / "set" / name).write_text("no picture")
    for path in (tmp_path / "set", zipped(tmp_path / "set", tmp_path / "set.zip"), tarred(tmp_path / "set", tmp_path / "set.tar")):
        assert counts_of(data_of(path)) == {"train": [2, 2], "val": [1, 1], "test": [1, 1]}


def test_a_relative_path_is_looked_for_in_data_root(tmp_path, monkeypatch):
    make(tmp_path / "here" / "set", {"cat": 3, "dog": 3})
    make(tmp_path / "root" / "pets", {"cat": 4, "dog": 4})
    monkeypatch.chdir(tmp_path / "here")
    assert counts_of(data_of("set", data_root=str(tmp_path / "root")))["train"] == [1, 1]
    assert counts_of(data_of("pets", data_root=str(tmp_path / "root")))["train"] == [2, 2]
    with pytest.raises(UserError) as error:
        data_of("birds", data_root=str(tmp_path / "root"))
    for part in ("task.data.path=birds is missing", str(tmp_path / "here" / "birds"), str(tmp_path / "root" / "birds"), "task=digits"):
        assert part in str(error.value)


def test_pictures_are_decoded_once_and_again_when_a_file_has_changed(tmp_path):
    make(tmp_path, {"cat": 3, "dog": 3})
    first, second = data_of(tmp_path), data_of(tmp_path, seed=1)
    assert np.shares_memory(first.splits["train"].inputs, second.splits["train"].inputs) and first.checksums == second.checksums
    (tmp_path / "cat" / "00.png").write_bytes(coloured(99, (30, 30)))
    assert data_of(tmp_path).checksums != first.checksums


@pytest.mark.parametrize(("white", "told"), [(4095, True), (65535, False)])
def test_pictures_of_12_bits_in_files_of_16_are_told(tmp_path, caplog, white, told):
    levels = np.linspace(0, white, 9 * 7).round().astype(np.uint16).reshape(9, 7)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(8):
            (tmp_path / name / f"{number}.png").write_bytes(encoded(Image.fromarray(levels)))
    with caplog.at_level("WARNING", "dlhw"):
        data_of(tmp_path, channels=1)
    assert [f"{tmp_path}: no level is above 16 of 255" in message for message in caplog.messages] == [True] * told


def test_the_checksum_covers_names_and_contents_but_not_the_cut(tmp_path):
    make(tmp_path / "set", {"cat": 4, "dog": 4})
    digest = data_of(tmp_path / "set").checksums["set"]
    assert data_of(tmp_path / "set", split_seed=3).checksums["set"] == digest
    (tmp_path / "set" / "cat" / "00.png").rename(tmp_path / "set" / "cat" / "other.png")
    assert data_of(tmp_path / "set").checksums["set"] != digest


@pytest.mark.parametrize(
    ("knobs", "says"),
    [
        ({"size": 0}, "size=0 is out of range: at least 1"),
        ({"channels": 4}, "channels=4 is not one of 1 .*3"),
        ({"val_share": 0.0}, "val_share=0.0 is out of range: a share between 0 and 1"),
        ({"test_share": 1.5}, "test_share=1.5 is out of range"),
        ({"val_share": 0.5, "test_share": 0.5}, "nothing to train on"),
        ({"normalize": "imagenet"}, "normalize=imagenet is not one of half, train, none"),
    ],
)
def test_a_wrong_knob_is_refused(tmp_path, knobs, says):
    with pytest.raises(UserError, match=says):
        data_of(make(tmp_path, {"cat": 3, "dog": 3}), **knobs)


@pytest.mark.parametrize(
    ("folders", "says"),
    [
        ({}, r"needs at least two class folders, it has none: .*<class>/\* is right"),
        ({"cat": 3}, "at least two class folders, it has cat"),
        ({"cat": 3, "dog": 0}, "class folder dog of train is empty"),
        (SPLITS | {"train/emu": 0, "val/emu": 1, "test/emu": 1}, "class folder emu of train is empty"),
        (SPLITS | {"test/emu": 1}, "the classes of train and test differ in emu"),
        (SPLITS | {"train/emu": 1}, "the classes of train and (val|test) differ in emu"),
        ({"val/cat": 1, "test/cat": 1}, "has .*val.* and no train"),
        (SPLITS | {"masks/cat": 1}, "masks beside train is no split"),
        (TRAIN_TEST | {"val": 0}, "val beside train is no split with class folders"),
        (SPLITS | {"valid/cat": 1}, "val and valid are both val"),
        ({"cat": 3, "dog": 2}, "class dog has 2 pictures, too few to cut val and test from them"),
        ({"train/cat": 3, "train/dog": 1, "test/cat": 1, "test/dog": 1}, "class dog has 1 pictures, too few to cut val from"),
    ],
)
def test_a_wrong_layout_is_named(tmp_path, folders, says):
    (tmp_path / "set").mkdir()
    make(tmp_path / "set", folders)
    for path in (tmp_path / "set", zipped(tmp_path / "set", tmp_path / "set.zip")):
        with pytest.raises(UserError, match=says) as error:
            data_of(path)
        assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("folder", "place"), [("", ""), ("pets", ""), ("pets", "pets"), ("train", ""), ("train", "train"), ("seg_train/seg_train", "seg_train")]
)
def test_a_picture_outside_the_class_folders_is_named(tmp_path, folder, place):
    make(tmp_path, {f"{folder}/{name}".lstrip("/"): 3 for name in ("cat", "dog")})
    shutil.copy(tmp_path / folder / "cat" / "00.png", tmp_path / place / "stray.png")
    with pytest.raises(UserError, match=f"{place}/stray.png lies in no class folder".lstrip("/")):
        data_of(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"these are not the levels of a picture",
        encoded(Image.effect_noise((64, 64), 50))[:-1000],
        encoded(Image.effect_noise((64, 64), 50), "JPEG")[:-1000],
        encoded(Image.new("F", (4, 4)), "TIFF"),
        encoded(Image.new("RGB", (4, 4)), "EPS"),
    ],
    ids=["empty", "text", "cut png", "cut jpeg", "float", "eps"],
)
def test_a_file_that_is_no_whole_picture_is_named(tmp_path, content):
    make(tmp_path / "set", {"cat": 4, "dog": 4})
    (tmp_path / "set" / "dog" / "broken.jpg").write_bytes(content)
    for path in (tmp_path / "set", zipped(tmp_path / "set", tmp_path / "set.zip"), tarred(tmp_path / "set", tmp_path / "set.tar")):
        with pytest.raises(UserError, match=r"not readable as a picture: dog/broken.jpg \(.+\)"):
            data_of(path)


def test_many_broken_files_are_counted(tmp_path):
    make(tmp_path, {"cat": 4, "dog": 4})
    for number in range(7):
        (tmp_path / "cat" / f"notes{number}.txt").write_text("no picture")
    with pytest.raises(UserError, match=r"cat/notes0.txt, .*cat/notes4.txt and 2 more"):
        data_of(tmp_path)


@pytest.mark.parametrize("name", ["set.zip", "set.tar", "set.tar.gz", "set.png"])
def test_a_file_that_is_no_archive_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"nothing of the kind" * 99)
    with pytest.raises(UserError, match=f"{name} (cannot be read|is neither a folder nor a .zip nor a .tar)"):
        data_of(tmp_path / name)


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_an_archive_that_was_cut_is_named(tmp_path, pack):
    archive = pack(make(tmp_path / "set", {"cat": 9, "dog": 9}), tmp_path / f"set.{pack.__name__[:3]}")
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 3])
    with pytest.raises(UserError, match="cannot be read"):
        data_of(archive)


@pytest.mark.realdata
@pytest.mark.parametrize(("path", "classes", "pictures"), [("pbc/pbc_raw_subset.tar", 8, 480)])
def test_real_photographs(data_root, path, classes, pictures):
    data = data_of(path, data_root=str(data_root), size=28)
    assert len(data.spec.classes) == classes and sum(len(split.inputs) for split in data.splits.values()) == pictures
