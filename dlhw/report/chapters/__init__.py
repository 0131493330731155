"""The chapters of the report, one file each; a new chapter is a file here, its claims in ``conf/report/claims.yaml``, nothing else."""

import importlib
import pkgutil

from dlhw.report.plan import Plan


def plans() -> dict[str, Plan]:
    """The plan of each chapter by its name, in the order of their files."""
    found = [importlib.import_module(f"{__name__}.{module.name}").PLAN for module in pkgutil.iter_modules(__path__)]
    return {plan.name: plan for plan in found}
