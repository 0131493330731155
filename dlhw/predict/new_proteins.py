"""Proteins that a run never saw: what its network says of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlhw.errors import UserError, listed
from dlhw.protein_identity import identity, most_alike

if TYPE_CHECKING:
    from dlhw.results import Run

READ = {"amino_acids": "FASTA", "embeddings": "vectors (.npz or .csv)", "": "FASTA"}  # what a network answers by: the file that tells it


def with_proteins(run: "Run", path: Path) -> "Run":
    """The run with the proteins of a file after its own; FASTA, or vectors where its network reads vectors.

    Raises:
        UserError: the network has an output for each of its own proteins and no others, a wrong file, a protein that the run has already.
    """
    from dlhw.data.protein_files import VECTORS, read_all
    from dlhw.results.load import with_spec

    net: Any = run.task.evaluated
    if not hasattr(net, "reads"):
        raise UserError(
            f"proteins={path}: model={run.result['model']} has an output for each of its own proteins, so it says nothing of others; "
            "a run of model=rbp_dual_encoder, rbp_nearest or rbp_mean does"
        )
    if (path.suffix in VECTORS) != (net.reads == "embeddings"):
        raise UserError(f"proteins={path}: what this run reads of a protein stands in {READ[net.reads]}")
    found = read_all(path)
    if known := [name for name in found if name in run.spec.proteins]:
        raise UserError(f"proteins={path}: {listed(known)} is a protein of the run itself: leave it out, or give it another name")
    if net.reads == "embeddings" and len({len(text) for text in (*found.values(), run.spec.embeddings[0])}) > 1:
        raise UserError(f"proteins={path}: its vectors are not as long as those that {run.folder} was trained on")
    return with_spec(run, run.spec.with_unseen([*found], **({net.reads: [*found.values()]} if net.reads else {})))


def likeness(run: "Run", proteins: tuple[str, ...]) -> list[str]:
    """How alike each protein is to the most alike one of those that were trained on, in words; nothing where no amino acids are known."""
    spec = run.spec
    if not spec.amino_acids:
        return []
    trained = [number for number, name in enumerate(spec.proteins) if name not in spec.unseen]
    lines = []
    for name in proteins:
        own = spec.amino_acids[spec.proteins.index(name)]
        nearest = trained[most_alike(own, [spec.amino_acids[number] for number in trained])]
        share = identity(own, spec.amino_acids[nearest])
        lines.append(
            f"{name}: of the proteins trained on {spec.proteins[nearest]} is the most alike, {share:.0%} of the amino acids are equal"
        )
    return lines
