"""Files with secrets, which are used only if no other user can read them."""

from pathlib import Path


def write_secret(path: Path, content: bytes | str) -> Path:
    """Write a file that only its owner can read."""
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
