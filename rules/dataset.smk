# The data of a stage, to look at.
# Needs: the manifest, the prepared archives, composed scenes; of the raw archives some photographs of the quarantine.
# Makes: results/{stage}/dataset.html, one file that opens offline.


rule write_dataset_page:
    """Show the stage's photographs, classes, boxes and quarantine."""
    input:
        train="<results>/{stage}/manifest/train.csv",
        val="<results>/{stage}/manifest/val.csv",
        test="<results>/{stage}/manifest/test.csv",
        quarantine="<results>/{stage}/manifest/quarantine.csv",
        classes="<results>/{stage}/manifest/classes.json",
        summary="<results>/{stage}/manifest/summary.json",
        overlapping_labels="<results>/{stage}/manifest/overlapping_labels.csv",
        plan_summary="<results>/{stage}/plan.json",
        prepared=expand("<results>/{{stage}}/prepared/{archive}", archive=ARCHIVES),
        scenes=SCENES,
        cut_outs=CUT_OUTS,
        code=code_of("write_dataset_page", *source_modules(*KINDS.values()), files=templates_in("pages", "dataset")),
    output:
        page=report("<results>/{stage}/dataset.html", category="{stage}", labels={"what": "dataset"}),
        record="<results>/{stage}/provenance/write_dataset_page.json",
    log:
        "<logs>/{stage}/write_dataset_page.log",
    benchmark:
        "<logs>/{stage}/write_dataset_page.tsv"
    conda:
        "../envs/pillsnap.yaml"
    params:
        stage=lambda wildcards: wildcards.stage,
        # no input: a page whose raw archives are gone is still up to date
        raw={archive.name: archive.photos for archive in ARCHIVES.values()},
        sources=KINDS,
        source_of=SOURCE_OF,
    script:
        "../scripts/write_dataset_page.py"
