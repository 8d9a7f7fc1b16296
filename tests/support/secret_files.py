"""Files with secrets, which are used only if no other user can read them."""

from pathlib import Path


def write_secret(path: Path, content: bytes | str) -> Path:
    """Write a file that only its owner can read; whoever reads it meanwhile never sees half of it."""
    new = path.with_name(f"{path.name}.new")
    new.touch(mode=0o600)
    new.chmod(0o600)
    new.write_bytes(content.encode() if isinstance(content, str) else content)
    new.replace(path)
    return path
