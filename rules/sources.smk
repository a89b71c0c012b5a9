# Built-in data.
# Needs: nothing but configuration (a source of kind synthetic).
# Makes: archives in AIHub's shape below its root, with the list of planted defects.

DRAWN = [source for source in CONFIG.named_sources.values() if get_kind(source.kind).drawn]

if DRAWN:

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
            data=f"{source_root(DRAWN[0])}/166.약품식별 인공지능 개발을 위한 경구약제 이미지 데이터/01.데이터",
        conda:
            "../envs/pillsnap.yaml"
        params:
            settings=DRAWN[0].synthetic.model_dump(),
            seed=CONFIG.seed,
            portable=CONFIG.portable,
        script:
            "../scripts/make_synthetic_archive.py"
