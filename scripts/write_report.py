"""Rule write_report: the report of a stage, one HTML file."""

from pillsnap.workflow.job import job

with job(snakemake):
    from pathlib import Path

    from pillsnap.report.write_report import write_report

    unread = ("code", "crops", "onnx_folder", "dataset", "model_card")  # the last two lie beside the report
    files = {name: Path(path) for name, path in snakemake.input.items() if name not in unread}
    write_report(
        **files,
        **{name: Path(path) for name, path in snakemake.output.items() if name != "record"},
        crops_summary=Path(snakemake.input.crops) / "summary.json",
        parity=Path(snakemake.input.onnx_folder) / "parity.json",
        **{name: Path(snakemake.params[name]) for name in ("durations", "preflight")},
        **{name: snakemake.params[name] for name in ("stage", "config", "targets", "sources")},
    )
