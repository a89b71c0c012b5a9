"""Questions to git, and the reason and the cure where it does not answer."""

import os
import subprocess
from pathlib import Path


class GitError(RuntimeError):
    """Git's reason for not answering, and what to do, where that is known."""

    def __init__(self, reason: str, cure: str = "") -> None:
        super().__init__(f"{reason}. {cure}." if cure else reason)
        self.reason = reason
        self.cure = cure


def ask_git(*words: str, folder: Path = Path()) -> str:
    """Return what a command of git prints in a folder.

    Raises:
        GitError: git is missing, the folder is in no repository or in another user's, or the command failed.
    """
    try:
        done = subprocess.run(
            ["git", *words], cwd=folder, env=os.environ | {"LC_ALL": "C"},
            capture_output=True, text=True, encoding="utf-8", errors="replace", check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise GitError("git is not installed", "Install git") from None
    if done.returncode:
        raise _refusal(done.stderr.strip())
    return done.stdout


def _refusal(said: str) -> GitError:
    reason = said.partition("\n")[0].removeprefix("fatal: ")
    if "dubious ownership" in said:
        return GitError(reason, f"Make the folder yours (chown), or: {said.splitlines()[-1].strip()}")
    if "not a git repository" in said:
        return GitError(
            "not in a git repository", "Clone the project, or keep it in a repository of your own: git init"
        )
    return GitError(reason)
