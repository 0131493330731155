"""Which file is of which class and split, told by the folders, and how a split that has no folder is cut from another."""

from collections.abc import Mapping

from dlhw.data.picture_files import Files
from dlhw.errors import UserError
from dlhw.randomness import derive

# Names of the split folders, in lower case; seg_* are those of Intel Image Classification, whose seg_pred has no labels.
SPLIT_FOLDERS = {
    "train": "train", "training": "train", "seg_train": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test", "seg_test": "test",
}  # fmt: skip
UNLABELLED = "seg_pred"
PICTURES = (".bmp", ".gif", ".jpeg", ".jpg", ".jp2", ".png", ".pgm", ".ppm", ".tif", ".tiff", ".webp")
RIGHT = "train|val|test/<class>/* or <class>/* is right"

Classes = dict[str, list[str]]  # class: its files


def split_files(files: Files, shares: Mapping[str, float], seed: int) -> dict[str, Classes]:
    """The files of each split and class; a split without a folder of its own is cut from the training files.

    Args:
        shares: ``val`` and ``test`` -> share of the files of each class, at least one file.
        seed: of the cut. Which files are cut depends on it, on the class and on the file's name alone.

    Raises:
        UserError: no class folders, a picture outside of them, an empty one, other classes in other splits, too few files to cut.
    """
    found = _layout(files)
    placed = {file for classes in found.values() for members in classes.values() for file in members}
    for file in files.files:
        if file not in placed and file.lower().endswith(PICTURES) and UNLABELLED not in file.lower().split("/"):
            raise UserError(f"{files.path}: {file} lies in no class folder: {RIGHT}")
    train = found["train"]
    if len(train) < 2:
        raise UserError(f"{files.path} needs at least two class folders, it has {', '.join(train) or 'none'}: {RIGHT}")
    for split, classes in found.items():
        if differing := sorted(train.keys() ^ classes.keys()):
            raise UserError(
                f"{files.path}: the classes of train and {split} differ in {', '.join(differing)}; the same ones in both are right"
            )
        if empty := [name for name, members in classes.items() if not members]:
            raise UserError(f"{files.path}: class folder {', '.join(empty)} of {split} is empty; fill it or remove the class everywhere")
    wanted = {split: share for split, share in shares.items() if split not in found}
    found |= {split: {} for split in wanted}
    for name, members in train.items():
        kept = sorted(members, key=lambda file: derive("split", seed, name, file.rsplit("/", 1)[-1]))
        for split, share in wanted.items():
            count = max(1, round(len(members) * share))
            found[split][name], kept = sorted(kept[:count]), kept[count:]
        if not kept:
            raise UserError(
                f"{files.path}: class {name} has {len(members)} pictures, too few to cut {' and '.join(wanted)} from them: "
                f"at least one must remain for each split"
            )
        train[name] = sorted(kept)
    return {split: found[split] for split in ("train", *shares)}


def _layout(files: Files) -> dict[str, Classes]:
    """Split -> class -> files, for the splits that have a folder; class folders without a split folder above them are ``train``."""
    top = ""
    while len(names := _below(files, top)) == 1 and names[0].lower() not in SPLIT_FOLDERS and _below(files, _join(top, names[0])):
        top = _join(top, names[0])  # an archive often holds one folder that holds all
    splits: dict[str, str] = {}
    for name in names:
        # a class may be called "train" too; a split folder is one that holds folders
        if (split := SPLIT_FOLDERS.get(name.lower())) and _below(files, _join(top, name)):
            if split in splits:
                raise UserError(f"{files.path}: {splits[split]} and {name} are both {split}; one of them is right")
            splits[split] = name
    if not splits:
        return {"train": _classes(files, top)}
    if "train" not in splits:
        raise UserError(f"{files.path} has {', '.join(splits.values())} and no train: {RIGHT}")
    if others := [name for name in names if name not in splits.values() and name.lower() != UNLABELLED]:
        raise UserError(f"{files.path}: {', '.join(others)} beside {splits['train']} is no split with class folders: {RIGHT}")
    return {split: _classes(files, _descend(files, _join(top, name))) for split, name in splits.items()}


def _descend(files: Files, folder: str) -> str:
    """``seg_train`` -> ``seg_train/seg_train``, where that is all it holds."""
    name = folder.rsplit("/", 1)[-1]
    return _descend(files, _join(folder, name)) if _below(files, folder) == [name] else folder


def _classes(files: Files, folder: str) -> Classes:
    classes: Classes = {name: [] for name in _below(files, folder)}
    prefix = _join(folder, "")
    for file in files.files:
        if file.startswith(prefix):
            name, _, inside = file.removeprefix(prefix).partition("/")
            if inside:
                classes[name].append(file)
    return classes


def _below(files: Files, folder: str) -> list[str]:
    """The names of the folders directly in ``folder``, sorted."""
    prefix = _join(folder, "")
    return sorted(rest for name in files.folders if name.startswith(prefix) and (rest := name.removeprefix(prefix)) and "/" not in rest)


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
