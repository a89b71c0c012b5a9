"""A copy of the project in which a test runs the real workflow at a tiny size."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from pillsnap.config.load import merge_into
from tests.support.once import once_in_a_run
from tests.support.preloaded import run_preloaded

PROJECT = Path(__file__).parents[2]

# rules that follow a part of the pipeline, by the name of what comes last before them
AFTER_YOLO = {
    "build_yolo_dataset",
    "train_detector",
    "detect_pills",
    "audit_labels",
    "cut_crops",
    "train_classifier",
    "calibrate_answers",
    "export_onnx",
    "run_benchmark",
    "measure_references",
    "evaluate_away",
    "write_model_card",
    "write_report",
}
SCENE_RULES = {"cut_pills", "compose_scenes"}
AFTER_MANIFEST = AFTER_YOLO | SCENE_RULES | {"write_dataset_page"}
AFTER_DETECTOR = AFTER_YOLO - {"build_yolo_dataset"}
AFTER_BENCHMARK = {"write_model_card", "write_report"}
AFTER_EXPORT = {"run_benchmark", "measure_references", "evaluate_away"} | AFTER_BENCHMARK
AFTER_CROPS = {"train_classifier", "calibrate_answers", "export_onnx"} | AFTER_EXPORT
DATA_RULES = {"index_archive", "plan_stage", "check_machine", "prepare_archive", "build_manifest"}


@dataclass(frozen=True)
class Workflow:
    """A project folder that is its own git repository."""

    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    """More of the environment; a `PYTHONPATH` comes after this copy's."""

    @classmethod
    def copy_to(cls, folder: Path) -> "Workflow":
        """Copy what git knows, or would add, as a fresh clone with one commit and the tiny configuration."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=PROJECT, check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        for name in filter(None, listed.split("\0")):
            if (PROJECT / name).is_file():
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(PROJECT / name, target)
        config = yaml.safe_load((PROJECT / "config.yaml").read_text(encoding="utf-8"))
        merge_into(config, yaml.safe_load((PROJECT / "tests" / "workflow" / "tiny.yaml").read_text(encoding="utf-8")))
        (folder / "config.yaml").write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
        workflow = cls(folder)
        workflow.run("git", "init", "--quiet")
        workflow.commit("Start")
        return workflow

    def clone(self, folder: Path) -> "Workflow":
        """Another clone, of what was committed: nothing is made in it."""
        self.run("git", "clone", "--quiet", str(self.folder), str(folder))
        return Workflow(folder)

    def copy(self, folder: Path) -> "Workflow":
        """Another folder with everything that was made, and the same time stamps."""
        subprocess.run(["cp", "-a", str(self.folder), str(folder)], check=True)
        return Workflow(folder)

    @property
    def environment(self) -> dict[str, str]:
        """The test's environment, with this copy's package and this environment's commands first."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        packages = os.pathsep.join([str(self.folder), *filter(None, [self.variables.get("PYTHONPATH")])])
        own = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}  # see conftest.py
        return {**own, **self.variables, "PYTHONPATH": packages, "PATH": path}

    def run(self, *words: str, check: bool = True) -> str:
        """Run a command in the folder; returns what it wrote, both streams together."""
        done = subprocess.run(
            words, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        return self._told(words, done.returncode, done.stdout, check)

    def run_quickly(self, *words: str, check: bool = True) -> str:
        """The same for `snakemake` and `dvc`, without their imports: see `preloaded`."""
        return self._told(words, *run_preloaded(words, folder=self.folder, environment=self.environment), check)

    @staticmethod
    def _told(words: tuple[str, ...], status: int, output: str, check: bool) -> str:
        assert status == 0 or not check, f"{' '.join(words)} ended with {status}:\n{output[-8000:]}"
        return output

    def commit(self, subject: str) -> None:
        """Commit everything that git does not ignore."""
        self.run("git", "add", "--all")
        self.run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "-m", subject)

    def change(self, setting: str) -> None:
        """Change a value in config.yaml, such as `classifier.epochs=3`."""
        dotted, value = setting.split("=")
        path = self.folder / "config.yaml"
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        *above, last = dotted.split(".")
        section = config
        for key in above:
            section = section.setdefault(key, {})
        assert section.get(last) != yaml.safe_load(value), f"{dotted} is {value} already"
        section[last] = yaml.safe_load(value)
        path.write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")

    def snakemake(
        self, *options: str, target: str = "results/stage4/report.html", cores: int = 2, check: bool = True
    ) -> str:
        """Run Snakemake."""
        return self.run("snakemake", "--cores", str(cores), *options, "--", target, check=check)

    def planned(self, *options: str, target: str = "results/stage4/report.html") -> set[str]:
        """Names of the rules that a dry run would run."""
        words = ("snakemake", "--cores", "2", "--dry-run", *options, "--", target)
        return planned_rules(self.run_quickly(*words))


def planned_rules(output: str) -> set[str]:
    """Names of the rules in the job table of a dry run, without the target rules."""
    table = re.search(r"^job +count\n[- ]+\n(.*?)^total", output, re.MULTILINE | re.DOTALL)
    return {line.split()[0] for line in table[1].splitlines()} - {"all"} if table else set()


@once_in_a_run
def made_workflow(base: Path) -> Workflow:
    """The tiny run: a project in which `dvc repro` made stage4."""
    workflow = Workflow.copy_to(base / "made")
    workflow.run("dvc", "repro", "stage@stage4")
    return workflow
