# What people read of the models.
# Needs: everything that was measured, and the dataset page beside the report.
# Makes: results/{stage}/model_card.md; results/{stage}/report.html, one file that opens offline, and its figures/;
# results/{stage}/detector_report.html, of the detector alone.


rule write_model_card:
    """Write the model card, which goes with the models."""
    input:
        metrics="<results>/{stage}/metrics.json",
        accuracy="<results>/{stage}/benchmark/accuracy.json",
        latency="<results>/{stage}/benchmark/latency.json",
        resources="<results>/{stage}/benchmark/resources.json",
        calibration="<results>/{stage}/answers/calibration.json",
        onnx_folder="<results>/{stage}/onnx",
        manifest_summary="<results>/{stage}/manifest/summary.json",
        drugs="<results>/{stage}/manifest/drugs.csv",
        code=code_of("write_model_card", *source_modules(*KINDS.values())),
    output:
        model_card="<results>/{stage}/model_card.md",
        record="<results>/{stage}/provenance/write_model_card.json",
    log:
        "<logs>/{stage}/write_model_card.log",
    benchmark:
        "<logs>/{stage}/write_model_card.tsv"
    conda:
        "../envs/pillsnap.yaml"
    params:
        stage=lambda wildcards: wildcards.stage,
        # only what the card tells, so that other settings leave it alone
        config={
            "detector": CONFIG.detector.model_dump(mode="json"),
            "classifier": CONFIG.classifier.model_dump(mode="json"),
            "answers": CONFIG.answers.model_dump(mode="json"),
            "scenes": CONFIG.scenes.model_dump(include={"photos", "crops"}),
        },
        targets=lambda wildcards: getattr(CONFIG.stages, wildcards.stage).targets.model_dump(),
        sources=KINDS,
    script:
        "../scripts/write_model_card.py"


rule write_report:
    """Write the stage's report."""
    input:
        metrics="<results>/{stage}/metrics.json",
        accuracy="<results>/{stage}/benchmark/accuracy.json",
        latency="<results>/{stage}/benchmark/latency.json",
        resources="<results>/{stage}/benchmark/resources.json",
        examples="<results>/{stage}/benchmark/examples",
        references="<results>/{stage}/benchmark/references.json",
        away="<results>/{stage}/away",
        plan_summary="<results>/{stage}/plan.json",
        manifest_summary="<results>/{stage}/manifest/summary.json",
        quarantine="<results>/{stage}/manifest/quarantine.csv",
        classes="<results>/{stage}/manifest/classes.json",
        drugs="<results>/{stage}/manifest/drugs.csv",
        label_audit="<results>/{stage}/label_audit",
        detector_history="<results>/{stage}/detector/history.csv",
        classifier_history="<results>/{stage}/classifier/history.csv",
        detector_events="<results>/{stage}/detector/events.json",
        classifier_events="<results>/{stage}/classifier/events.json",
        detector_resources="<results>/{stage}/detector/resources.json",
        classifier_resources="<results>/{stage}/classifier/resources.json",
        detector_record="<results>/{stage}/provenance/train_detector.json",
        classifier_record="<results>/{stage}/provenance/train_classifier.json",
        crops="<results>/{stage}/crops",
        calibration="<results>/{stage}/answers/calibration.json",
        onnx_folder="<results>/{stage}/onnx",
        dataset="<results>/{stage}/dataset.html",
        model_card="<results>/{stage}/model_card.md",
        code=code_of("write_report", *source_modules(*KINDS.values()), files=templates_in("pages", "report")),
    output:
        report=report("<results>/{stage}/report.html", category="{stage}", labels={"what": "report"}),
        figures=report(
            directory("<results>/{stage}/figures"),
            patterns=["{figure}.svg"],
            category="{stage}",
            labels={"what": "{figure}"},
        ),
        record="<results>/{stage}/provenance/write_report.json",
    log:
        "<logs>/{stage}/write_report.log",
    benchmark:
        "<logs>/{stage}/write_report.tsv"
    conda:
        "../envs/pillsnap.yaml"
    params:
        stage=lambda wildcards: wildcards.stage,
        durations=lambda wildcards: CONFIG.pathvars.logs,
        # no input: a report that lacked it would have check_machine run, and all photographs decoded again
        preflight=lambda wildcards: f"{CONFIG.pathvars.results}/{wildcards.stage}/preflight.json",
        config=CONFIG.model_dump(mode="json"),
        targets=lambda wildcards: getattr(CONFIG.stages, wildcards.stage).targets.model_dump(),
        sources=KINDS,
    script:
        "../scripts/write_report.py"


rule write_detector_report:
    """Write the report of the detector alone, for a stage of one class."""
    input:
        plan_summary="<results>/{stage}/plan.json",
        manifest_summary="<results>/{stage}/manifest/summary.json",
        quarantine="<results>/{stage}/manifest/quarantine.csv",
        label_audit="<results>/{stage}/label_audit",
        detector_history="<results>/{stage}/detector/history.csv",
        detector_events="<results>/{stage}/detector/events.json",
        detector_resources="<results>/{stage}/detector/resources.json",
        detector_record="<results>/{stage}/provenance/train_detector.json",
        evaluation="<results>/{stage}/detector_evaluation",
        dataset="<results>/{stage}/dataset.html",
        code=code_of("write_detector_report", *source_modules(*KINDS.values()), files=templates_in("pages", "report")),
    output:
        detector_report=report(
            "<results>/{stage}/detector_report.html", category="{stage}", labels={"what": "detector report"}
        ),
        record="<results>/{stage}/provenance/write_detector_report.json",
    log:
        "<logs>/{stage}/write_detector_report.log",
    benchmark:
        "<logs>/{stage}/write_detector_report.tsv"
    conda:
        "../envs/pillsnap.yaml"
    params:
        stage=lambda wildcards: wildcards.stage,
        durations=lambda wildcards: CONFIG.pathvars.logs,
        config=CONFIG.model_dump(mode="json"),
        targets=lambda wildcards: getattr(CONFIG.stages, wildcards.stage).targets.model_dump(),
        sources=KINDS,
    script:
        "../scripts/write_detector_report.py"
