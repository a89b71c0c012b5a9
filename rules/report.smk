# What people read.
# Needs: everything that was measured.
# Makes: results/{stage}/report.html, one file that opens offline, and its figures.


rule write_report:
    """Write the stage's report."""
    input:
        metrics="<results>/{stage}/metrics.json",
        accuracy="<results>/{stage}/benchmark/accuracy.json",
        latency="<results>/{stage}/benchmark/latency.json",
        resources="<results>/{stage}/benchmark/resources.json",
        examples="<results>/{stage}/benchmark/examples",
        plan_summary="<results>/{stage}/plan.json",
        manifest_summary="<results>/{stage}/manifest/summary.json",
        quarantine="<results>/{stage}/manifest/quarantine.csv",
        classes="<results>/{stage}/manifest/classes.json",
        detector_history="<results>/{stage}/detector/history.csv",
        classifier_history="<results>/{stage}/classifier/history.csv",
        detector_record="<results>/{stage}/detector/detector.json",
        classifier_record="<results>/{stage}/classifier/classifier.json",
        crops="<results>/{stage}/crops",
        onnx_folder="<results>/{stage}/onnx",
        code=code_of("write_report", "pillsnap/report/style.css", "pillsnap/report/template.html.jinja"),
    output:
        report=report("<results>/{stage}/report.html", category="{stage}", labels={"what": "report"}),
        figures=report(
            directory("<results>/{stage}/figures"),
            patterns=["{figure}.svg"],
            category="{stage}",
            labels={"what": "{figure}"},
        ),
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
        source_kind=CONFIG.source.kind,
    script:
        "../scripts/write_report.py"
