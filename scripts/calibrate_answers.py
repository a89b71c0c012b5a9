"""Rule calibrate_answers: temperature and thresholds, chosen on validation."""

from pillsnap.job_log import job_log

with job_log(snakemake.log[0]):
    from pathlib import Path

    from pillsnap.calibrate_answers import calibrate_answers
    from pillsnap.config import Answers

    calibrate_answers(
        **{name: Path(snakemake.input[name]) for name in ("classifier", "classes", "crops")},
        **{name: Path(path) for name, path in snakemake.output.items()},
        settings=Answers(**snakemake.params.settings),
        device=snakemake.params.device,
        threads=snakemake.params.threads,
    )
