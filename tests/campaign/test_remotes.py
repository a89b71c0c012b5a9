"""DVC's remotes in S3, Azure Blob Storage and Google Cloud Storage bring back the bytes that were pushed."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.remotes import SERVERS, Server, changes
from tests.support.repositories import write_dvc
from tests.support.workflow import PROJECT, Workflow

SNAKEFILE = """
rule report:
    input: "data/raw/a.zip", "results/index/a.parquet"
    output: "results/stage4/report.html", "results/stage4/weights/best.pt"
    shell: "false"
"""
DVC_YAML = """
stages:
  raw:
    cmd: "false"
    outs: [data/raw/a.zip]
  index:
    cmd: "false"
    deps: [data/raw/a.zip]
    outs: [results/index]
  stage:
    foreach: [stage4]
    do:
      cmd: "false"
      deps: [Snakefile, data/raw/a.zip, results/index]
      outs: ["results/${item}/report.html", "results/${item}/weights"]
"""
FILES = {
    "data/raw/a.zip": random.Random(0).randbytes(6_000_000),  # uploaded in parts where a server's client does that
    "results/index/a.parquet": random.Random(1).randbytes(100_000),
    "results/stage4/report.html": "<title>알약</title>".encode(),
    "results/stage4/weights/best.pt": b"",
}


@pytest.fixture(scope="module", params=SERVERS)
def server(request, base: Path) -> Iterator[Server]:
    with SERVERS[request.param](base) as started:
        yield started


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Workflow:
    """A small project: what DVC has of raw archives, index and a stage is recorded and committed."""
    workflow = Workflow(tmp_path_factory.mktemp("recorded"))
    write_dvc(workflow.folder, (PROJECT / ".dvc/config").read_text(encoding="utf-8"))
    for name, content in {"Snakefile": SNAKEFILE, "dvc.yaml": DVC_YAML, ".gitignore": "data\nresults\n"}.items():
        (workflow.folder / name).write_text(content, encoding="utf-8")
    for name, content in FILES.items():
        (workflow.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (workflow.folder / name).write_bytes(content)
    workflow.run("git", "init", "--quiet")
    workflow.run_quickly("dvc", "commit", "--force")
    workflow.commit("Stage 4")
    return workflow


def clone(recorded: Workflow, folder: Path, server: Server, *, address: str, settings: dict[str, str]) -> Workflow:
    """Another clone, with a remote `far`; neither settings nor credentials of whoever runs this count."""
    packages = ":".join(filter(None, [str(PROJECT), server.variables.get("PYTHONPATH")]))
    variables = server.variables | {"HOME": str(folder.parent), "PYTHONPATH": packages}
    workflow = Workflow(recorded.clone(folder).folder, variables)
    workflow.run_quickly("dvc", "remote", "add", "--local", "--default", "far", f"{server.scheme}://{address}")
    for key, value in settings.items():
        workflow.run_quickly("dvc", "remote", "modify", "--local", "far", key, value)
    return workflow


def pull(workflow: Workflow) -> tuple[str, bool]:
    """What `make pull` runs: what it said, and whether it succeeded."""
    said = workflow.run("bash", "-c", 'python -m pillsnap.reproduce.pull stage4; echo "ended with $?"', check=False)
    return said, said.endswith("ended with 0\n")


def test_pushed_bytes_are_pulled(recorded: Workflow, server: Server, tmp_path: Path) -> None:
    there = clone(recorded, tmp_path / "there", server, address="pills/far", settings=server.settings)
    there.run_quickly("dvc", "cache", "dir", "--local", str(recorded.folder / ".dvc/cache"))
    assert "files pushed" in there.run_quickly("dvc", "push")
    assert "Everything is up to date" in there.run_quickly("dvc", "push")
    here = clone(recorded, tmp_path / "here", server, address="pills/far", settings=server.settings)
    said, succeeded = pull(here)
    assert succeeded, said
    assert {name: (here.folder / name).read_bytes() for name in FILES} == FILES
    assert here.planned() == set()


@pytest.mark.parametrize("wrong", ["credentials", "place"])
def test_a_remote_that_gives_nothing_is_named(recorded: Workflow, server: Server, wrong: str, tmp_path: Path) -> None:
    """The raw archives are there: where DVC asks for one file alone, a place that is none looks like an empty one."""
    settings = server.wrong if wrong == "credentials" else server.settings
    address = "none/far" if wrong == "place" else "pills/far"
    here = clone(recorded, tmp_path / "here", server, address=address, settings=settings)
    (here.folder / "data/raw").mkdir(parents=True)
    (here.folder / "data/raw/a.zip").write_bytes(FILES["data/raw/a.zip"])
    here.run_quickly("dvc", "commit", "--force", "raw")
    said, succeeded = pull(here)
    assert not succeeded
    assert "Nothing is marked as done.\n  dvc pull: " in said and "Traceback" not in said
    assert f"'not in cache': the remote far ({server.scheme}://{address}) lacks it (`dvc push`" in said
    assert "or the credentials do not open it (see docs/reproduce.md#a-remote)" in said


@pytest.mark.parametrize("extra", ["azure", "gcs"])
def test_an_extra_leaves_the_locked_versions(extra: str) -> None:
    """Installed as docs/reproduce.md says it."""
    _, replaced = changes("--requirements", "pyproject.toml", "--extra", extra)
    assert not replaced
