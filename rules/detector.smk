# The detector: one class, `pill`.
# Needs: the manifest, the prepared archives, composed scenes.
# Makes: results/{stage}/yolo, results/{stage}/detector/{best.pt, best.safetensors, history.csv, events.json, resources.json},
# results/{stage}/detections.parquet, results/{stage}/detector_evaluation/; state in work/{stage}/train_detector.


rule build_yolo_dataset:
    """Pack images and labels, as ultralytics reads them, into shards; the test part stays out."""
    input:
        train="<results>/{stage}/manifest/train.csv",
        val="<results>/{stage}/manifest/val.csv",
        backgrounds="<results>/{stage}/manifest/backgrounds.csv",
        prepared=expand("<results>/{{stage}}/prepared/{archive}", archive=ARCHIVES),
        scenes=SCENES,
        code=code_of("build_yolo_dataset"),
    output:
        dataset=directory("<results>/{stage}/yolo"),
        record="<results>/{stage}/provenance/build_yolo_dataset.json",
    log:
        "<logs>/{stage}/build_yolo_dataset.log",
    benchmark:
        "<logs>/{stage}/build_yolo_dataset.tsv"
    conda:
        "../envs/pillsnap.yaml"
    params:
        settings=CONFIG.yolo.model_dump(),
        seed=CONFIG.seed,
    script:
        "../scripts/build_yolo_dataset.py"


rule train_detector:
    """Train the detector; a killed training resumes after its last finished epoch."""
    input:
        dataset="<results>/{stage}/yolo",
        starts_from=CONFIG.detector.starting_files,
        script=workflow_file("scripts/train_detector.py"),
        code=code_of("train_detector"),
    output:
        best="<results>/{stage}/detector/best.pt",
        weights="<results>/{stage}/detector/best.safetensors",
        history="<results>/{stage}/detector/history.csv",
        events="<results>/{stage}/detector/events.json",
        resources="<results>/{stage}/detector/resources.json",
        record="<results>/{stage}/provenance/train_detector.json",
    log:
        "<logs>/{stage}/train_detector.log",
    benchmark:
        "<logs>/{stage}/train_detector.tsv"
    conda:
        "../envs/pillsnap.yaml"
    threads: CONFIG.threads
    resources:
        gpu=CONFIG.training.processes,
    params:
        work=lambda wildcards: f"{CONFIG.pathvars.work}/{wildcards.stage}/train_detector",
        launch=CONFIG.training.launcher,
        settings=CONFIG.recipe("detector").model_dump_json(),
        steering=CONFIG.steering.model_dump_json(),
        training=CONFIG.training.model_dump_json(),
        seed=CONFIG.seed,
        device=CONFIG.device,
        threads=CONFIG.threads,
        portable=CONFIG.portable,
    shell:
        "{params.launch} {input.script:q} --dataset {input.dataset:q} "
        "--best {output.best:q} --weights {output.weights:q} --history {output.history:q} --events {output.events:q} "
        "--resources {output.resources:q} --work {params.work:q} --settings {params.settings:q} "
        "--steering {params.steering:q} --training {params.training:q} --seed {params.seed} --device {params.device} "
        "--threads {params.threads} --portable {params.portable} --record {output.record:q} --log {log:q}"


rule detect_pills:
    """Run the detector once over all but the test part; crops and label audit read its detections."""
    input:
        train="<results>/{stage}/manifest/train.csv",
        val="<results>/{stage}/manifest/val.csv",
        unseen_val="<results>/{stage}/manifest/unseen.csv",
        backgrounds="<results>/{stage}/manifest/backgrounds.csv",
        prepared=expand("<results>/{{stage}}/prepared/{archive}", archive=ARCHIVES),
        detector="<results>/{stage}/detector/best.safetensors",
        code=code_of("detect_pills"),
    output:
        detections="<results>/{stage}/detections.parquet",
        record="<results>/{stage}/provenance/detect_pills.json",
    log:
        "<logs>/{stage}/detect_pills.log",
    benchmark:
        "<logs>/{stage}/detect_pills.tsv"
    conda:
        "../envs/pillsnap.yaml"
    threads: CONFIG.threads
    resources:
        gpu=1,
    params:
        work=lambda wildcards: f"{CONFIG.pathvars.work}/{wildcards.stage}/detect_pills",
        image_size=CONFIG.detector.image_size,
        lowest_score=CONFIG.audit.lowest_score,
        nms_iou=CONFIG.benchmark.nms_iou,
        device=CONFIG.device,
        threads=CONFIG.threads,
        portable=CONFIG.portable,
    script:
        "../scripts/detect_pills.py"


rule evaluate_detector:
    """Measure the detector on validation and test part, where no classifier is wanted."""
    input:
        val="<results>/{stage}/manifest/val.csv",
        test="<results>/{stage}/manifest/test.csv",
        backgrounds="<results>/{stage}/manifest/backgrounds.csv",
        summary="<results>/{stage}/manifest/summary.json",
        prepared=expand("<results>/{{stage}}/prepared/{archive}", archive=ARCHIVES),
        detector="<results>/{stage}/detector/best.safetensors",
        code=code_of("evaluate_detector"),
    output:
        evaluation=directory("<results>/{stage}/detector_evaluation"),
        record="<results>/{stage}/provenance/evaluate_detector.json",
    log:
        "<logs>/{stage}/evaluate_detector.log",
    benchmark:
        "<logs>/{stage}/evaluate_detector.tsv"
    conda:
        "../envs/pillsnap.yaml"
    threads: CONFIG.threads
    resources:
        gpu=1,
    params:
        work=lambda wildcards: f"{CONFIG.pathvars.work}/{wildcards.stage}/evaluate_detector",
        image_size=CONFIG.detector.image_size,
        lowest_score=CONFIG.audit.lowest_score,
        nms_iou=CONFIG.benchmark.nms_iou,
        min_iou=CONFIG.crops.min_iou,
        device=CONFIG.device,
        threads=CONFIG.threads,
        portable=CONFIG.portable,
    script:
        "../scripts/evaluate_detector.py"
