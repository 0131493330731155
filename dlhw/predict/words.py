"""Spellings of words in IPA: given on the command line, or one a line in a file."""

import csv
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dlhw.atomic_file import replacing
from dlhw.data.vocab import Vocab, normalized
from dlhw.errors import UserError
from dlhw.predict import options as common
from dlhw.predict.decoder import given_settings, told

if TYPE_CHECKING:
    from dlhw.decoding import Decode
    from dlhw.results import Run
    from dlhw.tasks.transcribe import Transcription

NO_PHONES = frozenset("/[]ˈˌ.")  # what dictionaries write around and between phones, and WikiPron leaves out


@dataclass(frozen=True)
class Options(common.Options):
    """``input`` is a file in UTF-8 with one word a line (what stands behind a tab is not read), or the word itself, several with commas.

    Phones are separated by blanks; in a word without blanks the longest phones that the network knows are taken, from left to right.
    """

    method: str | None = "beam"  # greedy | beam | nucleus
    width: int | None = None  # beam: hypotheses that are kept; default of this and the next: as the run was tested
    length_power: float | None = None  # beam: ranked by log-probability / symbols ** length_power
    k: int | None = None  # spellings of each word, by beam or nucleus

    def __post_init__(self) -> None:
        refuse_missing(self.input)
        super().__post_init__()


@dataclass(frozen=True)
class Spelling:
    """What a network says about a word; the first of ``texts`` is its answer.

    ``confidence`` holds the probability of each letter of the answer, given those before, and of its end; their product is ``probability``.
    """

    texts: list[str]
    confidence: list[float]
    probability: float


def refuse_missing(given: str) -> None:
    """Refuse what looks like the name of a file and is none."""
    if not os.path.exists(given) and Path(given).suffix in (".txt", ".tsv", ".csv"):
        raise UserError(f"input={given} is missing: a file with one word in IPA a line, or the word itself, is right")


def read_words(given: str) -> list[str]:
    """The words that were asked for, as they were given: those of a file, or with commas between them.

    Raises:
        UserError: no word, or a file that is no UTF-8.
    """
    path = Path(given)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines() if os.path.exists(path) else given.split(",")
    except (UnicodeDecodeError, OSError) as error:
        raise UserError(f"input={path} cannot be read ({error}): a text file in UTF-8 with one word in IPA a line is right") from None
    words = [word for line in lines if (word := line.split("\t")[0].strip())]
    if not words:
        raise UserError(f"input={given} holds no word: phones separated by blanks, as in input='k æ t', are right")
    return words


def phones_of(word: str, known: Vocab, form: str) -> list[str]:
    """The phones of a word in IPA; stress marks, dots, slashes and brackets that the network does not know are dropped."""
    phones: list[str] = []
    for part in normalized(word, form).split():
        phones += [part] if part in known else longest_first(part, known)
    return [phone for phone in phones if phone in known or phone not in NO_PHONES]


def longest_first(text: str, known: Vocab) -> list[str]:
    """Cut text into symbols that the vocabulary knows, always the longest that fits; a letter that fits nothing stands alone."""
    longest = max(map(len, known.symbols), default=1)
    symbols, begin = [], 0
    while begin < len(text):
        ends = range(min(len(text), begin + longest), begin, -1)
        end = next((end for end in ends if text[begin:end] in known), begin + 1)
        symbols.append(text[begin:end])
        begin = end
    return symbols


def spell(run: "Run", words: Sequence[Sequence[str]], settings: "Decode", batch_size: int = 256) -> Iterator[Spelling]:
    """Spellings of words, each a list of phones."""
    import torch

    task: Transcription = run.task  # type: ignore[assignment]  # what a run on a TextSpec holds
    source = Vocab(run.spec.source)
    for begin in range(0, len(words), batch_size):
        ids = torch.from_numpy(source.array(words[begin : begin + batch_size], end=False)).to(task.device)
        index = torch.arange(begin, begin + len(ids), device=task.device)
        found = task.head.decode(task.evaluated, ids, settings, index)
        probabilities = found.scores[:, 0].exp().tolist()
        for texts, p, row in zip(task.candidates(found.ids, found.scores), probabilities, found.confidence.tolist(), strict=True):
            yield Spelling(texts, [value for value in row if value], p)


def predict(options: Options) -> bool:
    """Write the CSV; returns whether every word has phones, all of them known to the network.

    Raises:
        UserError: no finished run, missing input, a setting out of range, an output that cannot be written.
    """
    from dlhw.results import load_run

    words = read_words(options.input)
    run = load_run(options.run, options.device)
    known = Vocab(run.spec.source)
    phones = [phones_of(word, known, run.spec.normalization) for word in words]
    task: Transcription = run.task  # type: ignore[assignment]  # what a run on a TextSpec holds
    settings = given_settings(run, options)
    unknown = known.unseen(phones)
    if unknown:
        listed = ", ".join(f"{phone} ({count})" for phone, count in unknown.items())
        print(f"phones that the network was not trained on, read as unknown: {listed}", file=sys.stderr)
    for word, of_word in zip(words, phones, strict=True):
        if not of_word:
            print(f"error: {word} has no phones; left out", file=sys.stderr)
    kept = [(word, of_word) for word, of_word in zip(words, phones, strict=True) if of_word]
    with replacing(options.output) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["word", "phones", "spelling", "probability", "letters", "others"])
        for (word, of_word), spelling in zip(kept, spell(run, [p for _, p in kept], settings, options.batch_size), strict=True):
            answer = spelling.texts[0]
            letters = " ".join(f"{letter}:{p:.3f}" for letter, p in zip([*answer, "end"], spelling.confidence, strict=False))
            table.writerow([word, " ".join(of_word), answer, f"{spelling.probability:.7g}", letters, " ".join(spelling.texts[1:])])
            if len(kept) <= 10:
                print(f"{word}: {answer} ({spelling.probability:.3f})")
    print(f"{options.output}: {len(kept)} of {len(words)} words, spelt by {told(task, settings)}")
    return len(kept) == len(words) and not unknown
