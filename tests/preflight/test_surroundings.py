"""Surroundings of a run: each row of the table in docs/troubleshooting.md works, or is told with its cure."""

import errno
import fcntl
import json
import os
import pwd
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from typer.testing import CliRunner

from pillsnap import hardware, locks
from pillsnap.cli import app
from pillsnap.locks import LockError
from pillsnap.preflight.surroundings import SurroundingsError, refuse_surroundings
from pillsnap.reproduce.rebuild import MARK, _clone, hash_of
from pillsnap.reproduce.records import RecordError, commit_files, git_file
from pillsnap.serve.kept import KeepError, Kept
from pillsnap.training.state import locked_state
from pillsnap.workflow import provenance
from tests.support.archives import hand_made, photo_png, prepare_source
from tests.support.documents import text_of
from tests.support.preflight import config
from tests.support.repositories import commit, project_in, run, workflow_in, write_dvc
from tests.support.workflow import PROJECT, Workflow

Check = Callable[[Path, pytest.MonkeyPatch], None]
ODD = 'it\'s "q" $HOME `d` %s #h &; [x] 한글'
ROWS: dict[str, Check] = {}
ELSEWHERE = {
    "clocks that jump": ("tests/campaign/faults/test_clock.py", "test_a_clock_that_jumps_while_a_training_runs")
}
"""Rows that a test of the campaign makes."""


def row(surroundings: str) -> Callable[[Check], Check]:
    """The check of a row, known by the row's first cell."""

    def register(check: Check) -> Check:
        ROWS[surroundings] = check
        return check

    return register


def doctor(**overlay: object) -> dict[str, list[SimpleNamespace]]:
    """What `pillsnap doctor` finds in this folder, by what it looked at; it has not stopped with a traceback."""
    Path("overlay.yaml").write_text(yaml.safe_dump(overlay), encoding="utf-8")
    words = ["doctor", "--json", "--config", str(PROJECT / "config.yaml"), "--config", "overlay.yaml"]
    done = CliRunner().invoke(app, words)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    found = defaultdict(list)
    for one in json.loads(done.stdout)["findings"]:
        found[one["what"]].append(SimpleNamespace(**one))
    return found


def check_repository(project: Path, below: str, patch: pytest.MonkeyPatch) -> None:
    """Commit, changes and a clone are those of a project's folder."""
    patch.setattr(provenance, "ROOT", project)
    patch.chdir(project)
    assert provenance.git_commit() == {"hash": hash_of("HEAD"), "dirty": False}
    assert git_file("HEAD", "config.yaml") == (project / "config.yaml").read_text(encoding="utf-8")
    _clone(hash_of("HEAD"), project.parent / "rebuilt")
    assert (project.parent / "rebuilt" / below / "config.yaml").is_file()
    assert (project.parent / "rebuilt" / MARK).is_file()
    (project / "pillsnap/module.py").write_text("# edited\n")
    assert provenance.git_commit()["dirty"] is True


def check_commit(reason: str, cure: str) -> None:
    """Git's reason is told by the doctor and by commands that need a commit; records do not call it clean."""
    (found,) = doctor()["commit"]
    assert found.verdict == "warning" and reason in found.found and cure in found.cure
    assert provenance.git_commit() == {"hash": "", "dirty": None}
    for ask in (lambda: git_file("HEAD", "dvc.lock"), lambda: hash_of("HEAD")):
        with pytest.raises(RecordError, match=f"{reason}.*{cure}"):
            ask()


def check_refused(what: str, words: str, cure: str, **overlay: object) -> None:
    """The doctor refuses, and so does what Snakemake asks before it plans."""
    (found,) = doctor(**overlay)[what]
    assert found.verdict == "refused" and words in found.found and cure in found.cure


@row("files cannot be locked (`ENOLCK`, `ENOSYS`): a network file system without its lock service")
def missing_locks(folder: Path, patch: pytest.MonkeyPatch) -> None:
    write_dvc(folder, "[core]\n    analytics = false\n")
    for number in (errno.ENOLCK, errno.ENOSYS):

        def refuse(*_: object, number: int = number) -> None:
            raise OSError(number, os.strerror(number))

        patch.setattr(fcntl, "flock", refuse)
        trainings, dvc = doctor()["file locks"]
        assert (
            trainings.verdict == "refused" and "none in work" in trainings.found and "pathvars.work" in trainings.cure
        )
        assert dvc.verdict == "warning" and "core.hardlink_lock true" in dvc.cure
        words = rf"work: no file can be locked there \({os.strerror(number)}\)\. .*move pathvars\.work"
        with pytest.raises(LockError, match=words), locked_state(folder / "work/training", {}):
            pass
        with pytest.raises(KeepError, match=r"--keep .*kept: no file can be locked there .*Name a folder"):
            Kept(folder / "kept", 1e9)
    (folder / ".dvc/config.local").write_text("[core]\n    hardlink_lock = true\n")
    assert len(doctor()["file locks"]) == 1


@row("the clone belongs to another user")
def other_owner(folder: Path, patch: pytest.MonkeyPatch) -> None:
    nothing = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}  # no safe.directory
    for name, value in ({"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"} | nothing).items():
        patch.setenv(name, value)
    run("git", "init", "--quiet", folder=folder)
    patch.setattr(provenance, "ROOT", folder)
    check_commit("dubious ownership", "git config --global --add safe.directory")


@row("the project is a folder of a larger repository")
def larger_repository(folder: Path, patch: pytest.MonkeyPatch) -> None:
    project = project_in(folder / "larger", "pills/")
    check_repository(project, "pills/", patch)
    (project / "kept.txt").write_text("kept")
    run("dvc", "add", "--quiet", "kept.txt", folder=project)
    commit(folder / "larger")
    assert commit_files("HEAD", "kept.txt") == {"kept.txt": b"kept"}


@row("the project is a git worktree")
def worktree(folder: Path, patch: pytest.MonkeyPatch) -> None:
    run("git", "worktree", "add", "--quiet", str(folder / "tree"), folder=project_in(folder / "main", ""))
    check_repository(folder / "tree", "", patch)


@row("a shallow clone (`git clone --depth 1`)")
def shallow_clone(folder: Path, patch: pytest.MonkeyPatch) -> None:
    project = project_in(folder / "main", "")
    for file in ("notes.md", "pillsnap/module.py", "notes.md"):
        with (project / file).open("a") as stream:
            stream.write("# edited\n")
        commit(project)
    patch.chdir(project)
    last, changed = hash_of("HEAD"), hash_of("HEAD~1")
    cut = {"hash": last, "shallow": True}, {"hash": changed, "shallow": True}, {"hash": changed}
    for depth, known in enumerate(cut, start=1):
        clone = folder / f"depth {depth}"
        run("git", "clone", "--quiet", "--depth", str(depth), project.as_uri(), str(clone), folder=folder)
        patch.setattr(provenance, "ROOT", clone)
        patch.chdir(clone)
        assert provenance.git_commit() == {"dirty": False} | known
        (found,) = doctor()["commit"]
        assert (found.verdict, "--unshallow" in found.cure) == (("warning", True) if depth < 3 else ("ok", False))


@row("no git, or no repository")
def no_git(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("GIT_CEILING_DIRECTORIES", str(folder.parent))
    patch.setattr(provenance, "ROOT", folder)
    check_commit("not in a git repository", "git init")
    run("git", "init", "--quiet", folder=folder)
    assert provenance.git_commit() == {"hash": "", "dirty": None}, "a repository that has none of the files"
    patch.setenv("PATH", str(folder))
    check_commit("git is not installed", "Install git")


def without_name(patch: pytest.MonkeyPatch) -> None:
    """A user id that the system does not know."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        patch.delenv(name, raising=False)

    def unknown(user: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {user}")

    patch.setattr(pwd, "getpwuid", unknown)


@row("the user id has no name, as with `docker run --user`")
def nameless(folder: Path, patch: pytest.MonkeyPatch) -> None:
    without_name(patch)
    check_refused("user", "has no name", "export USER=pillsnap")
    with pytest.raises(SurroundingsError, match=r"has no name.*export USER=pillsnap"):
        refuse_surroundings(config(), {})
    patch.setenv("USER", "pillsnap")
    refuse_surroundings(config(), {})
    assert doctor()["user"][0].verdict == "ok"


@row("no home, or one that cannot be written")
def homeless(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.delenv("XDG_CACHE_HOME", raising=False)
    patch.setenv("HOME", f"{os.devnull}/home")
    check_refused("home", f"{os.devnull}/home/.cache cannot be written", "export HOME=FOLDER")
    with patch.context() as nobody:
        without_name(nobody)
        nobody.delenv("HOME")
        check_refused("home", "none", "export HOME=FOLDER")
    patch.setenv("HOME", str(folder))
    assert doctor()["home"][0].verdict == "ok"


@row("spaces, quotes, `$`, `%`, `#`, `&`, brackets, Korean in paths")
def odd_paths(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Planned; `test_a_rule_runs_below_odd_names` runs a rule."""
    project = odd_project(folder)
    assert {"index_archive", "train_classifier"} <= project.planned(*OWN)
    assert ODD in doctor(source={"kind": "aihub", "root": str(folder / ODD)})["source"][0].found


OWN = ("--configfile", "config.yaml", "own.yaml")


def odd_project(folder: Path) -> Workflow:
    """A project, and raw data outside it, below folders of odd names."""
    project = workflow_in(folder / f"{ODD} project")
    source = hand_made().write(folder / ODD)
    overlay = {"source": {"kind": "aihub", "root": source.root}, "plan": {"unseen_drugs": 0}}
    (project.folder / "own.yaml").write_text(yaml.safe_dump(overlay), encoding="utf-8")
    return project


@row("braces, line breaks or bytes that are no UTF-8 in paths")
def impossible_paths(folder: Path, patch: pytest.MonkeyPatch) -> None:
    said = workflow_in(folder / "a{b}").run_quickly("snakemake", "--dry-run", check=False)
    assert re.search(r"SurroundingsError.*\npaths: '.*a\{b\}'\. Rename it: no braces", said) and "Traceback" not in said
    for root in ("{raw}", "two\nlines", "\udcff"):
        check_refused("paths", ascii(root)[1:-1], "no line breaks", source={"kind": "synthetic", "root": root})
    check_refused("paths", "{stage}", "Rename it", pathvars={"results": "{stage}"})


@row("data that DVC links (`cache.type symlink`)")
def linked_data(folder: Path, patch: pytest.MonkeyPatch) -> None:
    for name in ("A", "B"):
        (folder / "pills" / name).mkdir(parents=True)
        for number in range(6):
            (folder / f"pills/{name}/{number}.png").write_bytes(photo_png(seed=number))
    write_dvc(folder, "[core]\n    no_scm = true\n[cache]\n    type = symlink\n")
    run("dvc", "add", "--quiet", "pills", folder=folder)
    assert all(path.is_symlink() for path in (folder / "pills").rglob("*.png"))
    (folder / "pills/A/out.png").symlink_to("/etc/hostname")
    said = CliRunner().invoke(app, ["data", "check", "pills"]).stdout
    assert "13 read = 12 kept + 1 quarantined + 0 skipped" in said and "link_outside" in said


@row("a source that cannot be written")
def read_only_source(folder: Path, patch: pytest.MonkeyPatch) -> None:
    source = hand_made().write(folder / "raw")
    below = [folder / "raw", *(folder / "raw").rglob("*")]
    before = {path: path.stat().st_mtime_ns for path in below}
    for path in below:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        prepare_source(source, folder / "results")
    finally:
        for path in below:
            path.chmod(0o755)
    assert {path: path.stat().st_mtime_ns for path in [folder / "raw", *(folder / "raw").rglob("*")]} == before


@row("`pathvars.work` or `pathvars.results` that cannot be written")
def read_only_results(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """The folder of trainings; of every rule's outputs tests/campaign/faults/test_disks.py tells."""
    for number in (errno.EROFS, errno.EACCES):

        def refuse(*_: object, number: int = number, **__: object) -> None:
            raise OSError(number, os.strerror(number))

        patch.setattr(locks.tempfile, "TemporaryFile", refuse)
        check_refused("file locks", f"none in work ({os.strerror(number)})", "Allow writing there")


@row("limits of cores and memory by cgroups")
def limited(folder: Path, patch: pytest.MonkeyPatch) -> None:
    files = {"own": "0::/job\n", "job/cpu.max": "200000 100000\n", "job/memory.max": str(2**31)}
    (folder / "job").mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    patch.setattr(hardware, "CGROUPS", folder)
    patch.setattr(hardware, "OWN_CGROUPS", folder / "own")
    patch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    found = doctor()
    assert "of 2.0 GiB free" in found["memory"][0].found
    (processor,) = found["processor"]
    assert processor.verdict == "warning" and "`--cores all` would take 8" in processor.found
    assert "2 usable cores" in processor.found and processor.cure.endswith("--cores 2")


@pytest.mark.parametrize("surroundings", ROWS)
def test_surroundings_work_or_are_told(surroundings: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ROWS[surroundings](tmp_path, monkeypatch)


def test_every_row_of_the_document_has_a_test() -> None:
    (section,) = re.findall(
        r"^## Surroundings\n(.*?)^## ", text_of("docs/troubleshooting.md"), re.MULTILINE | re.DOTALL
    )
    titles = [line.split(" | ")[0].removeprefix("| ") for line in section.splitlines() if line.startswith("| ")][1:]
    assert sorted(titles) == sorted([*ROWS, *ELSEWHERE])
    for page, test in ELSEWHERE.values():
        assert f"def {test}(" in (PROJECT / page).read_text(encoding="utf-8")


@pytest.mark.campaign
def test_a_rule_runs_below_odd_names(tmp_path: Path) -> None:
    project = odd_project(tmp_path)
    project.run("snakemake", "--cores", "2", *OWN, "--", "results/index/TS_1_single.parquet")
    assert (project.folder / "results/index/TS_1_single.parquet").is_file()
