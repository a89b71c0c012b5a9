# Crops for the classifier.
# Needs: the manifest, the prepared archives, the detections, composed scenes.
# Makes: results/{stage}/crops/{train.bin, val.bin, unseen_val.bin, index.parquet, summary.json}.


rule cut_crops:
    """Cut every pill but the test part's from its labelled box and as the detector saw it."""
    input:
        train="<results>/{stage}/manifest/train.csv",
        val="<results>/{stage}/manifest/val.csv",
        unseen_val="<results>/{stage}/manifest/unseen.csv",
        prepared=expand("<results>/{{stage}}/prepared/{archive}", archive=ARCHIVES),
        detections="<results>/{stage}/detections.parquet",
        scenes=SCENES if CONFIG.scenes.crops else [],
        code=code_of("cut_crops"),
    output:
        crops=directory("<results>/{stage}/crops"),
        record="<results>/{stage}/provenance/cut_crops.json",
    log:
        "<logs>/{stage}/cut_crops.log",
    benchmark:
        "<logs>/{stage}/cut_crops.tsv"
    conda:
        "../envs/pillsnap.yaml"
    threads: CONFIG.threads
    params:
        settings=CONFIG.crops.model_dump(),
        min_score=CONFIG.benchmark.min_score,
        portable=CONFIG.portable,
    script:
        "../scripts/cut_crops.py"
