"""The client's own wheel: all of the library, its command and its pytest plugin, and nothing of the service."""

from email.parser import HeaderParser
from pathlib import Path

from tests.support.checkout import ROOT
from tests.test_packaging import build

CLIENT = ROOT / "client"


def test_the_wheel_is_the_library(tmp_path: Path) -> None:
    wheel = build(CLIENT, tmp_path)
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    packages = (CLIENT / "custody_client", CLIENT / "custody_mcp")
    files = {path.relative_to(CLIENT).as_posix() for each in packages for path in each.rglob("*") if path.is_file()}
    assert names == {name for name in files if "__pycache__" not in name}
    (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    said = HeaderParser().parsestr(wheel.read(metadata).decode())
    assert said["Name"] == "custody-client"
    assert said["License-Expression"] == "MIT"
    assert {each.partition(">")[0] for each in said.get_all("Requires-Dist") or [] if "extra" not in each} == {
        "msgspec<1,",
        "nats-py",
    }
    (points,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "custody-worker = custody_client.cli:main" in wheel.read(points).decode()
    assert "custody = custody_client.testing.plugin" in wheel.read(points).decode()
