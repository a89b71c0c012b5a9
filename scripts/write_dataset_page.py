"""Rule write_dataset_page: a page that shows a stage's data."""

from pillsnap.workflow.job import job

with job(snakemake):
    from pathlib import Path

    from pillsnap.dataset.write_dataset_page import write_dataset_page

    names = ("quarantine", "classes", "summary", "overlapping_labels", "plan_summary")
    write_dataset_page(
        manifest={split: Path(snakemake.input[split]) for split in ("train", "val", "test")},
        **{name: Path(snakemake.input[name]) for name in names},
        prepared=[Path(path) for path in snakemake.input.prepared],
        **{name: [Path(path) for path in snakemake.input[name]] for name in ("scenes", "cut_outs")},
        page=Path(snakemake.output.page),
        **{name: snakemake.params[name] for name in ("stage", "raw", "sources", "source_of")},
    )
