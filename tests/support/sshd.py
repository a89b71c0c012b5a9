"""A real sshd on loopback for one test: own port, own host key and user key, nothing of the user's is touched."""

import getpass
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.debian import need
from tests.support.loopback import free_port, wait_for

CONFIG = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
PidFile {folder}/sshd.pid
PasswordAuthentication no
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
Subsystem sftp internal-sftp
"""


@dataclass(frozen=True)
class Sshd:
    """A running server: address without a path, and the private key that it lets in."""

    address: str
    key: Path


def find_sshd() -> str:
    """sshd's absolute path, see `debian.need`."""
    path = f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"
    return need("sshd", lambda: shutil.which("sshd", path=path), "openssh-server")


@contextmanager
def sshd(folder: Path) -> Iterator[Sshd]:
    """Run a server with keys and configuration in `folder` until the block ends."""
    binary = find_sshd()
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    for name in ("host_key", "user_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    port = free_port()
    (folder / "sshd_config").write_text(CONFIG.format(port=port, folder=folder))
    server = subprocess.Popen([binary, "-D", "-E", folder / "log", "-f", folder / "sshd_config"])
    try:
        wait_for(port, server)
        yield Sshd(f"ssh://{getpass.getuser()}@127.0.0.1:{port}", folder / "user_key")
    finally:
        server.terminate()
        server.wait(timeout=20)
