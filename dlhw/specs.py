"""What data is, in the words that a network needs: a datamodule declares a spec, a network receives it."""

import base64
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from dlhw.errors import UserError

# MedMNIST's own names for what the labels of an image set are.
LabelKind = Literal["multi-class", "binary-class", "ordinal-regression", "multi-label"]

# For messages: what data has the amino acids of its proteins.
FASTA = "task=rbp_multi task.data.fasta=FILE is right, or task=rbp_sim_unseen"


@dataclass(frozen=True)
class ImageSpec:
    """Pictures of one size with labels.

    ``mean`` and ``std`` hold one value per channel on the 0..1 scale; a picture x in 0..1 enters the network as (x - mean) / std.
    """

    channels: int
    height: int
    width: int
    classes: tuple[str, ...]
    labels: LabelKind
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.labels not in get_args(LabelKind):
            raise UserError(f"labels={self.labels!r} is not one of {', '.join(get_args(LabelKind))}")
        if not len(self.mean) == len(self.std) == self.channels:
            raise UserError(f"mean and std need {self.channels} values, one per channel; got {len(self.mean)} and {len(self.std)}")
        if len(self.classes) < 2 and self.labels != "multi-label":
            raise UserError(f"classification needs at least two classes, got {list(self.classes)}")

    @property
    def outputs(self) -> int:
        """Number of values that the network gives per picture."""
        return len(self.classes)


@dataclass(frozen=True)
class SequenceSpec:
    """RNA sequences, each with one measured value per protein.

    ``length`` is that of the padded sequences in nucleotides. ``amino_acids`` holds the sequence of each protein where the data has them,
    ``embeddings`` its vector by some protein language model, packed by :func:`pack_vector`. The labels of the proteins in ``unseen`` are
    in no training batch: their columns are answered for proteins that a network never saw.
    """

    length: int
    proteins: tuple[str, ...]
    amino_acids: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    embeddings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.proteins:
            raise UserError("a set of sequences needs at least one protein")
        if len(set(self.proteins)) != len(self.proteins):
            raise UserError(f"protein names must differ, got {', '.join(self.proteins)}")
        for what, values in (("amino-acid sequences", self.amino_acids), ("embeddings", self.embeddings)):
            if values and len(values) != len(self.proteins):
                raise UserError(f"{len(self.proteins)} proteins need as many {what}, got {len(values)}")
        if unknown := set(self.unseen) - set(self.proteins):
            raise UserError(f"unseen proteins must be among the proteins: {', '.join(sorted(unknown))} is not")

    @property
    def outputs(self) -> int:
        """Number of values that the network gives per sequence."""
        return len(self.proteins)

    def with_unseen(self, proteins: Sequence[str], **known: Sequence[str]) -> "SequenceSpec":
        """This spec with further proteins of which no label was seen, after its own; ``known``: their ``amino_acids`` or ``embeddings``."""
        told: dict[str, Any] = {what: (*getattr(self, what), *values) for what, values in known.items()}
        return SequenceSpec(self.length, (*self.proteins, *proteins), unseen=(*self.unseen, *proteins), **told)


def pack_vector(vector: Sequence[float]) -> str:
    """A vector as text, 32 bits a number, so that a spec with many stays readable."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def unpack_vector(text: str) -> tuple[float, ...]:
    """The inverse of :func:`pack_vector`."""
    data = base64.b64decode(text)
    return struct.unpack(f"<{len(data) // 4}f", data)


# The ids before those of the symbols of a text: see dlhw.data.vocab. PAD is CTC's blank as well.
PAD, BOS, EOS, UNKNOWN, FIRST = 0, 1, 2, 3, 4


@dataclass(frozen=True)
class TextSpec:
    """Words of source symbols (phones) to be written in target symbols (letters).

    ``source`` and ``target`` hold the symbols of the training split, without the special ones that :mod:`dlhw.data.vocab` puts before them;
    ``source_length`` and ``target_length`` are the longest of any split, in symbols; ``normalization`` the Unicode form of all texts.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    source_length: int
    target_length: int
    normalization: str = "NFC"

    @property
    def inputs(self) -> int:
        """Number of ids of the source, with the special ones."""
        return FIRST + len(self.source)

    @property
    def outputs(self) -> int:
        """Number of values that the network gives per place of the target: its symbols and the special ones."""
        return FIRST + len(self.target)


@dataclass(frozen=True)
class LineSpec:
    """Pictures of text lines, grey, of one height in pixels and any width, with their transcripts.

    ``target`` holds the symbols of the training split, without the special ones that :mod:`dlhw.data.vocab` puts before them;
    ``target_length`` is the longest transcript of any split, in symbols; ``normalization`` the Unicode form of all transcripts;
    ``border`` the white columns on each side of a line.
    """

    height: int
    target: tuple[str, ...]
    target_length: int
    normalization: str = "NFC"
    border: int = 0

    @property
    def outputs(self) -> int:
        """Number of values that the network gives per place of the target: its symbols and the special ones."""
        return FIRST + len(self.target)


SPECS = {spec.__name__: spec for spec in (ImageSpec, SequenceSpec, TextSpec, LineSpec)}


def wants(spec: object, expected: type, network: str) -> None:
    """Refuse a spec of another kind.

    Raises:
        UserError: naming the network, the spec that it wants and the one that it got.
    """
    if not isinstance(spec, expected):
        raise UserError(f"{network} wants {expected.__name__}, got {type(spec).__name__}: choose another model for this task")


def spec_to_dict(spec: Any) -> dict[str, Any]:
    """A spec as plain data, for checkpoints that load with ``weights_only=True``."""
    return {"spec": type(spec).__name__, **asdict(spec)}


def spec_from_dict(data: dict[str, Any]) -> Any:
    """The inverse of :func:`spec_to_dict`."""
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items() if key != "spec"}
    return SPECS[data["spec"]](**fields)
