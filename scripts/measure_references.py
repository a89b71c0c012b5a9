"""Rule measure_references: what drugs enrolled from photographs are worth."""

from pillsnap.workflow.job import job

with job(snakemake):
    from pathlib import Path

    from pillsnap.enrol.measure_references import measure_references

    measure_references(
        **{name: Path(snakemake.input[name]) for name in ("models", "manifest", "unseen")},
        prepared=[Path(path) for path in snakemake.input.prepared],
        references=Path(snakemake.output.references),
        **{name: snakemake.params[name] for name in ("min_iou", "seed", "device", "threads")},
    )
