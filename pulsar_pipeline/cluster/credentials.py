"""Token and key files: written whole or not at all, readable by their owner only."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import NamedTemporaryFile


def write_credential(path: Path, content: bytes) -> None:
    """Replace `path` by `content`, mode 0600; a reader sees the old file or the new one. The folder must exist."""
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:  # created 0600
        temporary = Path(file.name)
        try:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
    temporary.replace(path)


def private_folder(path: Path) -> None:
    """Create a folder, or close an existing one, so that only its owner can enter."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
