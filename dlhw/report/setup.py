"""The set-up as it was used, read from configurations and results: data, network, optimizer, device, time."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from dlhw.report.document import Table
from dlhw.report.plan import Plan
from dlhw.report.runs import Record, select
from dlhw.run_folder import short_names

ACROSS = 6  # systems in a table
# What a setting of the training is called, and the dotted key that holds it.
SETTINGS = {
    "optimizer": "optim.optimizer._target_",
    "learning rate": "optim.lr",
    "schedule": "optim.schedule",
    "batch size": "task.data.batch_size",
    "epochs": "trainer.max_epochs",
    "protein": "task.data.protein",
}


def setup_tables(plan: Plan, records: Sequence[Record]) -> list[Table]:
    """A column for each row that has runs, a line for each fact: network and its knobs, training, data, device, time.

    Many systems are several tables, each with the knobs of its own networks. Rows that are read off the same runs are one column.
    """
    systems: dict[str, list[Record]] = {}
    for row in plan.rows:
        if (runs := select(records, row.where)) and runs not in systems.values():
            systems[row.id] = runs
    names = list(systems)
    parts = [names[begin : begin + ACROSS] for begin in range(0, len(names), ACROSS)]
    tables = [_setup_table(plan, {name: systems[name] for name in part}) for part in parts]
    if len(tables) < 2:
        return tables
    several = enumerate(tables, 1)
    return [replace(table, name=f"{table.name}-{n}", caption=f"{table.caption} ({n} of {len(tables)})") for n, table in several]


def _setup_table(plan: Plan, systems: dict[str, list[Record]]) -> Table:
    firsts = [runs[0] for runs in systems.values()]
    knobs = dict.fromkeys(key for first in firsts for key in first.settings if _is_knob(key))
    names = short_names(set(knobs))
    lines = [
        ["network", *(str(first.result["model"]) for first in firsts)],
        *([names[key].removeprefix("model."), *(str(first.settings.get(key, "-")) for first in firsts)] for key in knobs),
        ["parameters", *(f"{first.result['params']:,}" for first in firsts)],
        *(
            [name, *(_setting(first, key) for first in firsts)]
            for name, key in SETTINGS.items()
            if any(key in one.settings for one in firsts)
        ),
    ]
    for fact in ("precision", "device"):
        lines.append([fact, *(_several(run.result[fact] for run in runs) for runs in systems.values())])
    lines.append(
        ["time of a run (s)", *(f"{sum(run.result['train_seconds'] for run in runs) / len(runs):,.0f}" for runs in systems.values())]
    )
    lines.append(["seeds", *(_several(run.seed for run in runs) for runs in systems.values())])
    data = [
        _several(f"{name}, SHA-256 {digest[:12]}" for run in runs for name, digest in run.result["data"].items())
        for runs in systems.values()
    ]
    lines.append(["data", *data])
    return Table(f"{plan.name}-setup", f"{plan.title}: how the systems were trained.", ["", *systems], lines, len(systems) + 1)


def _is_knob(key: str) -> bool:
    return key.startswith("model.") and not key.endswith(("_target_", "_partial_"))


def _setting(record: Record, key: str) -> str:
    value = str(record.settings.get(key, "-"))
    return value.rpartition(".")[2] if key.endswith("_target_") else value


def _several(values: Iterable[object]) -> str:
    return "; ".join(dict.fromkeys(map(str, values)))


def network_tables(plan: Plan, records: Sequence[Record]) -> list[Table]:
    """The layers of each row's network with their parameters; of networks that differ in sizes only one stands there."""
    tables: list[Table] = []
    seen: list[object] = []
    for row in plan.rows:
        for record in select(records, row.where)[:1]:
            layers = record.result.get("layers", [])
            names = [layer["name"] for layer in layers]
            if not names or names in seen:
                continue
            seen.append(names)
            rows = [[layer["name"], layer["what"], f"{layer['params']:,}"] for layer in layers]
            rows.append(["all", "", f"{record.result['params']:,}"])
            rows[-1][1] = f"{len(layers)} layer{'s' * (len(layers) > 1)}"
            tables.append(
                Table(
                    f"{plan.name}-network-{row.id.replace(' ', '-')}",
                    f"{row.id}, {row.label}: the network.",
                    ["layer", "what it is", "parameters"],
                    rows,
                    2,
                )
            )
    return tables
