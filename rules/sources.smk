# Built-in data.
# Needs: nothing but configuration (source.kind: synthetic).
# Makes: archives in AIHub's shape below source.root, with the list of planted defects.

if get_kind(CONFIG.source.kind).drawn:

    rule make_synthetic_archive:
        """Draw the photographs of one archive and write them as AIHub does."""
        input:
            code=code_of("make_synthetic_archive"),
        output:
            photos="<data>/{part}/원천데이터/{kind}/{letter}S_{number}_{domain}.zip",
            labels="<data>/{part}/라벨링데이터/{kind}/{letter}L_{number}_{domain}.zip",
            planted="<data>/{part}/{kind}/{letter}S_{number}_{domain}.planted.csv",
            record="<results>/provenance/make_synthetic_archive/{part}/{kind}/{letter}S_{number}_{domain}.json",
        log:
            "<logs>/make_synthetic_archive/{part}/{kind}/{letter}S_{number}_{domain}.log",
        benchmark:
            "<logs>/make_synthetic_archive/{part}/{kind}/{letter}S_{number}_{domain}.tsv"
        pathvars:
            data=f"{source_root(CONFIG.source)}/166.약품식별 인공지능 개발을 위한 경구약제 이미지 데이터/01.데이터",
        conda:
            "../envs/pillsnap.yaml"
        params:
            settings=CONFIG.source.synthetic.model_dump(),
            seed=CONFIG.seed,
        script:
            "../scripts/make_synthetic_archive.py"
