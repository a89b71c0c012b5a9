"""Rule write_model_card: what the models of a stage are and reached, as Markdown."""

from pillsnap.workflow.job import job

with job(snakemake):
    from pathlib import Path

    from pillsnap.report.write_model_card import write_model_card

    unread = ("code", "onnx_folder")
    files = {name: Path(path) for name, path in snakemake.input.items() if name not in unread}
    write_model_card(
        **files,
        parity=Path(snakemake.input.onnx_folder) / "parity.json",
        model_card=Path(snakemake.output.model_card),
        **{name: snakemake.params[name] for name in ("stage", "config", "targets", "sources")},
    )
