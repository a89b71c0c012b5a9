# PillSnap: raw photographs -> manifest -> detector -> crops -> classifier -> ONNX -> report.
#   snakemake --cores 8 results/stage4/report.html
# One file of rules for each part of the way; rule = script = function name.
from snakemake.utils import min_version

from pillsnap.config.load import load_config
from pillsnap.preflight.surroundings import refuse_surroundings
from pillsnap.sources.archives import on_disk, source_root
from pillsnap.sources.registry import found_kinds, get_kind, list_all_archives, source_modules
from pillsnap.workflow.code_inputs import code_of, templates_in, workflow_file
from pillsnap.workflow.untracked import UntrackedParam, is_checked

min_version("9.27")


configfile: "config.yaml"


# Snakemake puts the default file behind those of --configfile, which overwrite it
CONFIG = load_config(config, [*workflow.configfiles[-1:], *workflow.configfiles])
KINDS = {name: source.kind for name, source in CONFIG.named_sources.items()}
ARCHIVES = list_all_archives(CONFIG.named_sources)
refuse_surroundings(CONFIG, ARCHIVES)
SOURCE_OF = {name: archive.source for name, archive in ARCHIVES.items()}


wildcard_constraints:
    stage=r"stage[1-4]",
    archive=r"[A-Za-z0-9_.-]+",
    shard=r"[0-9]{4}",


include: "rules/sources.smk"
include: "rules/preflight.smk"
include: "rules/manifest.smk"
include: "rules/scenes.smk"
include: "rules/dataset.smk"
include: "rules/detector.smk"
include: "rules/audit.smk"
include: "rules/crops.smk"
include: "rules/classifier.smk"
include: "rules/answers.smk"
include: "rules/onnx.smk"
include: "rules/benchmark.smk"
include: "rules/report.smk"


localrules:
    all,
    archives,
    index,


rule all:
    """The report of the production stage, the page that shows its data, and the model card."""
    default_target: True
    input:
        "<results>/stage4/report.html",
        "<results>/stage4/dataset.html",
        "<results>/stage4/model_card.md",


rule archives:
    """The raw archives of the sources."""
    input:
        [path for archive in ARCHIVES.values() for path in on_disk(archive.photos, archive.labels)],


rule index:
    """The tables of all labels."""
    input:
        expand("<results>/index/{archive}.parquet", archive=ARCHIVES),
