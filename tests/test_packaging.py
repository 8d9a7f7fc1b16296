"""The wheel has everything that runs, and can be built from what the image's build is given."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.support.checkout import PACKAGES, ROOT

COPY = re.compile(r"(?m)^COPY (?!--from)(?P<sources>.+) (?P<target>\S+)$")


def build(source: Path, into: Path) -> ZipFile:
    """Build the wheel as an installer does, without a network."""
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", into],
        cwd=source,
        check=False,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = into.glob("*.whl")
    return ZipFile(wheel)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    return build(ROOT, tmp_path_factory.mktemp("wheel"))


def files(root: Path) -> set[str]:
    """What the packages consist of, programs and data."""
    found = (path for package in PACKAGES for path in (root / package).rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix() for path in found if "__pycache__" not in path.parts}


def metadata(wheel: ZipFile) -> Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return HeaderParser().parsestr(wheel.read(name).decode())


def test_the_wheel_has_every_file_of_the_packages_and_no_other(wheel: ZipFile) -> None:
    assert {name for name in wheel.namelist() if ".dist-info/" not in name} == files(ROOT) | {"infra/asyncapi.yaml"}


def test_the_wheel_has_the_document_that_custody_schema_prints(wheel: ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path)
    code = "from infra.cli.commands.asyncapi import schema; schema()"
    printed = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        check=True,
        capture_output=True,
    )
    assert printed.stdout == (ROOT / "docs" / "asyncapi.yaml").read_bytes()


def test_the_wheel_says_what_it_is_and_under_which_licence(wheel: ZipFile) -> None:
    said = metadata(wheel)
    assert said["License-Expression"] == "MIT"
    assert said.get_payload() == (ROOT / "README.md").read_text(encoding="utf-8")
    (licence,) = (name for name in wheel.namelist() if name.endswith("/licenses/LICENSE"))
    assert wheel.read(licence) == (ROOT / "LICENSE").read_bytes()


def test_the_image_is_built_from_the_same_wheel(wheel: ZipFile, tmp_path: Path) -> None:
    sources = [name for match in COPY.finditer((ROOT / "Dockerfile").read_text()) for name in match["sources"].split()]
    let_through = (ROOT / ".dockerignore").read_text().splitlines()
    context = tmp_path / "context"
    context.mkdir()
    for name in sources:
        if name.startswith("requirements/"):
            assert "!requirements/*.txt" in let_through
            continue
        assert f"!{name}" in let_through
        if (ROOT / name).is_dir():
            # Other tests' processes write bytecode, by way of files that are gone again at once.
            shutil.copytree(ROOT / name, context / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (context / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, context / name)
    assert set(build(context, tmp_path / "dist").namelist()) == set(wheel.namelist())


def test_every_extra_is_among_what_the_tests_need() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    developing = {each for each in project["dependency-groups"]["dev"] if isinstance(each, str)}
    extras = {each for group in project["project"]["optional-dependencies"].values() for each in group}
    assert extras <= developing


@pytest.mark.parametrize("place", ["tests/javascript", "examples/javascript"])
def test_what_comes_from_npm_is_locked_by_hash_and_bound_to_no_registry(place: str) -> None:
    lock = json.loads((ROOT / place / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    wanted = json.loads((ROOT / place / "package.json").read_text(encoding="utf-8"))["dependencies"]
    assert lock.pop("")["dependencies"] == wanted
    assert all(each["integrity"].startswith("sha512-") and "resolved" not in each for each in lock.values())
