"""Folders of results apart from the workflow: with `snakemake --directory`, and with PillSnap as a module."""

from pathlib import Path

MODULE = """
configfile: "{checkout}/config.yaml"
configfile: "own.yaml"


module pillsnap:
    snakefile:
        "{checkout}/Snakefile"
    config:
        config


use rule * from pillsnap


rule count_photos:
    input:
        "made/stage4/manifest/summary.json",
    output:
        "photos.txt",
    shell:
        "grep -c kept {{input}} > {{output}}"
"""


def write_overlay(folder: Path, overlay: str) -> Path:
    """A folder with an overlay `own.yaml` and nothing else: no git, no config.yaml."""
    folder.mkdir(parents=True)
    (folder / "own.yaml").write_text(overlay, encoding="utf-8")
    return folder


def write_module(folder: Path, checkout: Path, overlay: str = "") -> Path:
    """A folder with a workflow that takes the rules of `checkout`, its results below `made`, and has a rule of its own.

    Args:
        folder: made.
        checkout: of PillSnap.
        overlay: YAML over the checkout's `config.yaml`.
    """
    write_overlay(folder, f"pathvars: {{results: made}}\n{overlay}")
    (folder / "Snakefile").write_text(MODULE.format(checkout=checkout), encoding="utf-8")
    return folder
