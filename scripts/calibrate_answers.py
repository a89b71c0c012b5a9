"""Rule calibrate_answers: temperature and thresholds, chosen on validation."""

from pillsnap.workflow.job import job

with job(snakemake):
    from pathlib import Path

    from pillsnap.answers.calibrate_answers import calibrate_answers
    from pillsnap.config.config import Answers

    calibrate_answers(
        **{name: Path(snakemake.input[name]) for name in ("classifier", "drugs", "crops")},
        reader=next(map(Path, snakemake.input.reader), None),
        **{name: Path(path) for name, path in snakemake.output.items() if name != "record"},
        settings=Answers(**snakemake.params.settings),
        device=snakemake.params.device,
        threads=snakemake.params.threads,
    )
