"""Rule evaluate_away: answers to composed scenes, and to sets of real photographs."""

from pillsnap.workflow.job import job

with job(snakemake):
    from pathlib import Path

    from pillsnap.config.data import Scenes
    from pillsnap.evaluate.evaluate_away import evaluate_away

    evaluate_away(
        **{name: Path(snakemake.input[name]) for name in ("models", "test")},
        **{name: [Path(path) for path in snakemake.input[name]] for name in ("prepared", "photos")},
        away=Path(snakemake.output.away),
        settings=Scenes(**snakemake.params.settings),
        **{name: snakemake.params[name] for name in ("scenes", "side", "context", "seed", "device", "threads")},
    )
