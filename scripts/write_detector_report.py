"""Rule write_detector_report: the report of a stage's detector alone."""

from pillsnap.workflow.job import job

with job(snakemake):
    from pathlib import Path

    from pillsnap.report.write_detector_report import write_detector_report

    unread = ("code", "dataset")  # the page of the data lies beside the report
    write_detector_report(
        **{name: Path(path) for name, path in snakemake.input.items() if name not in unread},
        detector_report=Path(snakemake.output.detector_report),
        durations=Path(snakemake.params.durations),
        **{name: snakemake.params[name] for name in ("stage", "config", "targets", "sources")},
    )
