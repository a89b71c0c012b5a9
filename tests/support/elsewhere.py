"""Folders of results apart from the workflow: with `snakemake --directory`, and with PillSnap as a module."""

from pathlib import Path

from tests.support.documents import FENCE, text_of


def write_overlay(folder: Path, overlay: str) -> Path:
    """A folder with an overlay `own.yaml` and nothing else: no git, no config.yaml."""
    folder.mkdir(parents=True)
    (folder / "own.yaml").write_text(overlay, encoding="utf-8")
    return folder


def write_module(folder: Path, checkout: Path) -> Path:
    """A folder with the workflow and the overlay that docs/pipeline.md shows: it takes the rules of `checkout`."""
    blocks = [block for _, block in FENCE.findall(text_of("docs/pipeline.md"))]
    (snakefile,) = [block for block in blocks if "module pillsnap:" in block]
    (overlay,) = [block for block in blocks if block.startswith("pathvars:")]
    write_overlay(folder, overlay)
    (folder / "Snakefile").write_text(snakefile.replace('"pillsnap/', f'"{checkout}/'), encoding="utf-8")
    return folder
