"""The help of the tools that use a finished run."""

from dataclasses import fields

import pytest

from dlhw.explain.options import TOOL as EXPLAIN
from dlhw.explain.sequences import Options as ExplainSequences
from dlhw.options import Tool
from dlhw.predict.lines import Options as PredictLines
from dlhw.predict.options import TOOL as PREDICT
from dlhw.predict.sequences import Options as PredictSequences


@pytest.mark.parametrize(
    ("tool", "kind", "options"),
    [(EXPLAIN, "sequences", ExplainSequences), (PREDICT, "sequences", PredictSequences), (PREDICT, "lines", PredictLines)],
)
def test_the_help_names_every_key_of_a_kind_with_its_default(
    tool: Tool, kind: str, options: type, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tool.parsed(["-h"]) is None
    text = capsys.readouterr().out
    common, _, rest = text.partition("\nfor ")
    own = next(part for part in f"{rest}".split("\nfor ") if part.startswith(kind))
    for field in fields(options):
        default = str(field.default).lower() if isinstance(field.default, int | str) else ""
        if field.name != "data_root":
            assert f"  {field.name}={default}" in common + own, field.name


def test_the_help_says_what_the_comments_say(capsys: pytest.CaptureFixture[str]) -> None:
    PREDICT.parsed(["--help"])
    assert "  output=predictions.csv\n" in capsys.readouterr().out
