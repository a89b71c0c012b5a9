# From raw archives to the manifest.
# Needs: the archives of the source; preflight.json before the first photograph is decoded.
# Makes: results/index/<archive>.*, results/{stage}/{plan.parquet, plan.backgrounds.parquet, plan.issues.parquet,
# plan.json, prepared/<archive>/, manifest/}.


rule index_archive:
    """Read an archive's labels; no pixel is decoded."""
    input:
        # of archives in S3 the parameter has size and ETag
        photos=lambda wildcards: on_disk(ARCHIVES[wildcards.archive].photos),
        labels=lambda wildcards: on_disk(ARCHIVES[wildcards.archive].labels),
        descriptions=lambda wildcards: ARCHIVES[wildcards.archive].descriptions,
        code=lambda wildcards: code_of("index_archive", *source_modules(KINDS[SOURCE_OF[wildcards.archive]])),
    output:
        pills="<results>/index/{archive}.parquet",
        backgrounds="<results>/index/{archive}.backgrounds.parquet",
        looks="<results>/index/{archive}.looks.parquet",
        issues="<results>/index/{archive}.issues.parquet",
        counts="<results>/index/{archive}.counts.json",
        record="<results>/provenance/index_archive/{archive}.json",
    log:
        "<logs>/index_archive/{archive}.log",
    benchmark:
        "<logs>/index_archive/{archive}.tsv"
    conda:
        "../envs/pillsnap.yaml"
    params:
        kind=lambda wildcards: KINDS[SOURCE_OF[wildcards.archive]],
        archive=lambda wildcards: vars(ARCHIVES[wildcards.archive]),
    script:
        "../scripts/index_archive.py"


rule plan_stage:
    """Choose the stage's photographs and split them by capture group."""
    input:
        pills=expand("<results>/index/{archive}.parquet", archive=ARCHIVES),
        index_backgrounds=expand("<results>/index/{archive}.backgrounds.parquet", archive=ARCHIVES),
        index_issues=expand("<results>/index/{archive}.issues.parquet", archive=ARCHIVES),
        code=code_of("plan_stage"),
    output:
        plan="<results>/{stage}/plan.parquet",
        backgrounds="<results>/{stage}/plan.backgrounds.parquet",
        issues="<results>/{stage}/plan.issues.parquet",
        summary="<results>/{stage}/plan.json",
        record="<results>/{stage}/provenance/plan_stage.json",
    log:
        "<logs>/{stage}/plan_stage.log",
    benchmark:
        "<logs>/{stage}/plan_stage.tsv"
    conda:
        "../envs/pillsnap.yaml"
    params:
        stage=lambda wildcards: getattr(CONFIG.stages, wildcards.stage).model_dump(exclude={"targets"}),
        settings=CONFIG.plan.model_dump(),
        seed=CONFIG.seed,
        sources=list(SOURCE_OF.values()),
        refused=lambda wildcards: f"{CONFIG.pathvars.logs}/{wildcards.stage}/refused.csv",
    script:
        "../scripts/plan_stage.py"


rule prepare_archive:
    """Decode the planned photographs, once: checks, hashes, small JPEGs, context crops."""
    input:
        photos=lambda wildcards: on_disk(ARCHIVES[wildcards.archive].photos),
        plan="<results>/{stage}/plan.parquet",
        backgrounds="<results>/{stage}/plan.backgrounds.parquet",
        counts="<results>/index/{archive}.counts.json",
        preflight=lambda wildcards: (ancient if is_checked(CONFIG.pathvars.results, wildcards.stage) else str)(
            f"{CONFIG.pathvars.results}/{wildcards.stage}/preflight.json"
        ),
        weights=lambda wildcards: (
            CONFIG.detector.starting_files if ARCHIVES[wildcards.archive].boxes == "detector" else []
        ),
        code=lambda wildcards: code_of(
            "prepare_archive", *(["find_box"] if ARCHIVES[wildcards.archive].boxes == "detector" else [])
        ),
    output:
        prepared=directory("<results>/{stage}/prepared/{archive}"),
        record="<results>/{stage}/provenance/prepare_archive/{archive}.json",
    log:
        "<logs>/{stage}/prepare_archive/{archive}.log",
    benchmark:
        "<logs>/{stage}/prepare_archive/{archive}.tsv"
    conda:
        "../envs/pillsnap.yaml"
    threads: 1
    params:
        archive=lambda wildcards: vars(ARCHIVES[wildcards.archive]),
        settings=CONFIG.prepare.model_dump(),
        finder=lambda wildcards: (
            {
                "work": f"{CONFIG.pathvars.work}/{wildcards.stage}/find_box/{wildcards.archive}",
                "image_size": CONFIG.detector.image_size,
                "device": CONFIG.device,
            }
            if ARCHIVES[wildcards.archive].boxes == "detector"
            else None
        ),
        portable=CONFIG.portable,
    script:
        "../scripts/prepare_archive.py"


rule build_manifest:
    """Join plan and prepared archives into the manifest, the quarantine and the class list."""
    input:
        plan="<results>/{stage}/plan.parquet",
        plan_backgrounds="<results>/{stage}/plan.backgrounds.parquet",
        plan_issues="<results>/{stage}/plan.issues.parquet",
        plan_summary="<results>/{stage}/plan.json",
        counts=expand("<results>/index/{archive}.counts.json", archive=ARCHIVES),
        issues=expand("<results>/index/{archive}.issues.parquet", archive=ARCHIVES),
        looks=expand("<results>/index/{archive}.looks.parquet", archive=ARCHIVES),
        prepared=expand("<results>/{{stage}}/prepared/{archive}", archive=ARCHIVES),
        code=code_of("build_manifest"),
    output:
        train="<results>/{stage}/manifest/train.csv",
        val="<results>/{stage}/manifest/val.csv",
        test="<results>/{stage}/manifest/test.csv",
        unseen="<results>/{stage}/manifest/unseen.csv",
        backgrounds="<results>/{stage}/manifest/backgrounds.csv",
        quarantine="<results>/{stage}/manifest/quarantine.csv",
        near_duplicates="<results>/{stage}/manifest/near_duplicates.csv",
        overlapping_labels="<results>/{stage}/manifest/overlapping_labels.csv",
        classes="<results>/{stage}/manifest/classes.json",
        drugs="<results>/{stage}/manifest/drugs.csv",
        summary="<results>/{stage}/manifest/summary.json",
        record="<results>/{stage}/provenance/build_manifest.json",
    log:
        "<logs>/{stage}/build_manifest.log",
    benchmark:
        "<logs>/{stage}/build_manifest.tsv"
    conda:
        "../envs/pillsnap.yaml"
    params:
        settings=CONFIG.manifest.model_dump(),
        shared_groups=CONFIG.plan.shared_groups,
        source_of=SOURCE_OF,
        refused=lambda wildcards: f"{CONFIG.pathvars.logs}/{wildcards.stage}/refused.csv",
    script:
        "../scripts/build_manifest.py"
