"""The computations that the demo's tasks ask for, each on the content of one source file."""

import hashlib
from collections.abc import Callable
from pathlib import Path

COMPUTATIONS: dict[str, Callable[[bytes], str]] = {
    "sha256": lambda content: hashlib.sha256(content).hexdigest(),
    "lines": lambda content: str(content.count(b"\n")),
    "words": lambda content: str(len(content.split())),
    "different words": lambda content: str(len(set(content.split()))),
}


def computed(path: str, computation: str) -> str:
    """The result for one file."""
    return COMPUTATIONS[computation](Path(path).read_bytes())


def verification_hash(path: str, computation: str, result: str) -> int:
    """The verification hash of a result: 64 bits, signed, of the path, the computation and its result."""
    digest = hashlib.sha256(f"{path}\n{computation}\n{result}".encode()).digest()
    return int.from_bytes(digest[:8], signed=True)
