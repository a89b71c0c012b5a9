# Scenes composed from cut-out training pills; none where scenes.photos is 0.
# Needs: the training part of the manifest, the prepared archives; scenes.backgrounds, where that names a folder.
# Makes: results/{stage}/prepared/composed/{cut_outs/<archive>, <shard>}.

# no other archive can hold a training photograph of a single pill
SINGLES = [name for name, archive in ARCHIVES.items() if archive.domain != "combo" and archive.part in ("", "train")]
CUT_OUTS = expand(
    "<results>/{{stage}}/prepared/composed/cut_outs/{archive}",
    archive=SINGLES if CONFIG.scenes.photos else [],
)
BACKGROUNDS = [CONFIG.scenes.backgrounds] if CONFIG.scenes.photos and CONFIG.scenes.backgrounds else []
if BACKGROUNDS:
    from pillsnap.scenes.backgrounds import find_backgrounds  # here, since it imports OpenCV

    find_backgrounds(*BACKGROUNDS)  # a folder that is missing or empty is told before the first job
SCENES = expand("<results>/{{stage}}/prepared/composed/{shard}", shard=CONFIG.scenes.shards)


rule cut_pills:
    """Cut the pills of an archive's single-pill training photographs out; doubtful ones are refused and counted."""
    input:
        train="<results>/{stage}/manifest/train.csv",
        prepared="<results>/{stage}/prepared/{archive}",
        code=code_of("cut_pills"),
    output:
        cut_outs=directory("<results>/{stage}/prepared/composed/cut_outs/{archive}"),
        record="<results>/{stage}/provenance/cut_pills/{archive}.json",
    log:
        "<logs>/{stage}/cut_pills/{archive}.log",
    benchmark:
        "<logs>/{stage}/cut_pills/{archive}.tsv"
    conda:
        "../envs/pillsnap.yaml"
    params:
        per_drug=CONFIG.scenes.cut_outs_per_drug,
        seed=CONFIG.seed,
        portable=CONFIG.portable,
    script:
        "../scripts/cut_pills.py"


rule compose_scenes:
    """Compose a shard of scenes; each depends on the seed and its number alone."""
    input:
        cut_outs=CUT_OUTS,
        prepared=expand("<results>/{{stage}}/prepared/{archive}", archive=ARCHIVES),
        backgrounds=BACKGROUNDS,
        code=code_of("compose_scenes"),
    output:
        scenes=directory("<results>/{stage}/prepared/composed/{shard}"),
        record="<results>/{stage}/provenance/compose_scenes/{shard}.json",
    log:
        "<logs>/{stage}/compose_scenes/{shard}.log",
    benchmark:
        "<logs>/{stage}/compose_scenes/{shard}.tsv"
    conda:
        "../envs/pillsnap.yaml"
    params:
        settings=CONFIG.scenes.model_dump(exclude={"cut_outs_per_drug", "crops"}),
        side=CONFIG.prepare.photo_size,
        seed=CONFIG.seed,
        portable=CONFIG.portable,
    script:
        "../scripts/compose_scenes.py"
