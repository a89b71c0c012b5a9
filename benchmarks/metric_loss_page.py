"""Markdown page of benchmarks/metric_loss.py, all computed from `metric_loss.json`."""

from typing import Any

from known_page import row, spread
from page_origin import origin

_PAGE = """# A metric loss beside cross entropy: measured

Made by `{command}`; the first lines of [metric_loss.py](metric_loss.py) tell the method, and every figure is computed
from [metric_loss.json](metric_loss.json). **The photographs are synthetic**: the figures show which loss suits this
pipeline, and say nothing of real drugs.

- {date}, {device}; commit `{commit}`{dirty}
- {versions}
- {stages}; {epochs} epochs

On validation, {means}; AUROC as such, the rest in percent. *Enrolled* is top-1 of held-out drugs
by features alone.

| loss | top-1 | AUROC, held-out drugs | AUROC, left-out drugs | enrolled |
|---|---|---|---|---|
{rows}
"""

FIGURES = ("top1", "auroc_unseen", "auroc_left_out", "enrolled")


def page(result: dict[str, Any]) -> str:
    """The measured figures as Markdown."""
    stages = len(result["stages"])
    return _PAGE.format(
        command=result["command"],
        **origin(result),
        stages=", ".join(f"`{stage}`" for stage in result["stages"]),
        epochs=result["epochs"],
        means="of one stage" if stages == 1 else f"means over {stages} stages, lowest to highest in brackets",
        rows="\n".join(
            row([name], [spread(key, [of_stage[key] for of_stage in found]) for key in FIGURES])
            for name, found in result["losses"].items()
        ),
    )
