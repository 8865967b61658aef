"""A disk of its own for the tracker's data, the embedded PostgreSQL included: a small tmpfs, which can be filled.

It is mounted in a mount namespace of this program, which nobody else sees and which ends with its processes.
"""

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

# Set once this program runs in a mount namespace of its own.
_INSIDE = "CHAOS_MOUNT_NAMESPACE"
# The database itself with its write-ahead log, and what a task takes there with its indexes, while it is closed and
# copied on.
BASE_BYTES, BYTES_PER_TASK = 600 << 20, 2_500
BLOCK = 1 << 20


def enter_namespace() -> None:
    """Start this program again in a mount namespace, if the system allows that. Returns if it is in one, or doesn't."""
    # A normal user may mount in a user namespace, in which it is root.
    prefix = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    if _INSIDE in os.environ or not _works(
        [*prefix, "sh", "-c", f"mount -t tmpfs tmpfs {shlex.quote(tempfile.gettempdir())}"]
    ):
        return
    os.environ[_INSIDE] = "1"
    command = [*prefix, sys.executable, "-m", "chaos", *sys.argv[1:]]
    os.execvp(command[0], command)


def _works(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


class Disk:
    """The file system at `folder`. Without a mount namespace there is none, and it can't be filled."""

    def __init__(self, folder: Path, tasks: int) -> None:
        self.folder = folder
        self.bytes = BASE_BYTES + BYTES_PER_TASK * tasks
        self.is_mounted = False
        self._filler = folder / "filler"

    def mount(self) -> None:
        """Mount it, if that is possible."""
        self.folder.mkdir(mode=0o700, parents=True)
        if _INSIDE in os.environ:
            options = f"size={self.bytes},mode=0700"
            self.is_mounted = _works(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)])

    def fill(self, *, left: int = 0) -> None:
        """Write until nothing more can be written, or only `left` bytes."""
        with self._filler.open("ab", buffering=0) as file:
            for size in (BLOCK, 4096, 1):
                try:
                    while True:
                        os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, size)
                except OSError:
                    pass
            file.truncate(max(0, os.fstat(file.fileno()).st_size - left))

    def clear(self) -> None:
        """Make room again."""
        self._filler.unlink(missing_ok=True)

    def unmount(self) -> None:
        """Give the memory back."""
        if self.is_mounted:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=False)
            self.is_mounted = False
