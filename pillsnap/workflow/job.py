"""Jobs that Snakemake starts by `script:`: log, and at the end the record of where the outputs come from.
Imports nothing but the standard library, so that a failing import of the job itself reaches the log."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from pillsnap.workflow.arithmetic import keep_portable
from pillsnap.workflow.log import job_log


@contextlib.contextmanager
def job(snakemake: Any) -> Iterator[None]:
    """Log the block to the rule's `log`; when it ended well, write the rule's output `record`. Where the rule has the
    parameter `portable`, and it is true, the block's arithmetic is kept to what `keep_portable` says."""
    with job_log(snakemake.log[0]):
        started = time.monotonic()
        if snakemake.params.get("portable"):
            keep_portable()
        from pillsnap.workflow.code_inputs import ROOT, path_from_root

        files = dict(snakemake.input.items())
        code = [path_from_root(path) for path in files.pop("code")]  # refuses another checkout now, not after the work
        script = f"scripts/{snakemake.rule}.py"
        code += [script] if (ROOT / script).is_file() else []  # another workflow that takes the rule may rename it
        yield
        from pillsnap.workflow.provenance import write_record

        write_record(
            snakemake.output.record,
            rule=snakemake.rule,
            inputs=files,
            outputs=dict(snakemake.output.items()),
            code=code,
            settings=dict(snakemake.params.items()),
            seconds=time.monotonic() - started,
        )
