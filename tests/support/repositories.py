"""Places in which a test's project lies: small repositories of git and DVC, a folder of neither."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.support.preloaded import run_preloaded
from tests.support.workflow import PROJECT, Workflow


def run(program: str, *words: str, folder: Path) -> None:
    """Run git, with a person's name for commits, or DVC."""
    if program == "dvc":
        status, said = run_preloaded([program, *words], folder=folder, environment=os.environ)
    else:
        named = [program, "-c", "user.name=t", "-c", "user.email=t@example.org", *words]
        done = subprocess.run(named, cwd=folder, capture_output=True, text=True, check=False)
        status, said = done.returncode, done.stderr
    assert status == 0, said


def project_in(root: Path, below: str) -> Path:
    """A project with configuration, a module and DVC's settings, committed in the repository `root`."""
    project = root / below
    (project / "pillsnap").mkdir(parents=True)
    (project / "pillsnap/module.py").write_text("")
    shutil.copy2(PROJECT / "config.yaml", project)
    write_dvc(project, (PROJECT / ".dvc/config").read_text(encoding="utf-8"))
    run("git", "init", "--quiet", folder=root)
    commit(root)
    return project


def write_dvc(project: Path, settings: str) -> None:
    """Make a folder one of DVC's, as `dvc init` does."""
    (project / ".dvc").mkdir()
    (project / ".dvc/config").write_text(settings)
    (project / ".dvc/.gitignore").write_text("/config.local\n/tmp\n/cache\n")


def commit(root: Path) -> None:
    """Commit everything that git does not ignore."""
    run("git", "add", "--all", folder=root)
    run("git", "commit", "--quiet", "-m", "x", folder=root)


def workflow_in(folder: Path) -> Workflow:
    """A copy of what Snakemake reads, without git."""
    folder.mkdir()
    ignored = shutil.ignore_patterns("__pycache__")
    for path in (PROJECT / name for name in ("envs", "pillsnap", "profiles", "rules", "scripts", "weights")):
        shutil.copytree(path, folder / path.name, ignore=ignored)
    for name in ("Snakefile", "config.yaml"):
        shutil.copy2(PROJECT / name, folder)
    return Workflow(folder)
