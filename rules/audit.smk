# Labels that the detector disagrees with, for people.
# Needs: the manifest, the prepared archives, the detections.
# Makes: results/{stage}/label_audit/{findings.csv, coco.json, summary.json, pictures/}.


rule audit_labels:
    """List confident detections without label and labels without detection; change nothing."""
    input:
        train="<results>/{stage}/manifest/train.csv",
        val="<results>/{stage}/manifest/val.csv",
        backgrounds="<results>/{stage}/manifest/backgrounds.csv",
        classes="<results>/{stage}/manifest/classes.json",
        prepared=expand("<results>/{{stage}}/prepared/{archive}", archive=ARCHIVES),
        detections="<results>/{stage}/detections.parquet",
        code=code_of("audit_labels"),
    output:
        label_audit=directory("<results>/{stage}/label_audit"),
        record="<results>/{stage}/provenance/audit_labels.json",
    log:
        "<logs>/{stage}/audit_labels.log",
    benchmark:
        "<logs>/{stage}/audit_labels.tsv"
    conda:
        "../envs/pillsnap.yaml"
    params:
        settings=CONFIG.audit.model_dump(),
        min_iou=CONFIG.crops.min_iou,
    script:
        "../scripts/audit_labels.py"
