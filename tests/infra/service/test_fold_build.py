"""The build of a snapshot changes with every source file that decides what a fold yields."""

import shutil
from pathlib import Path

import pytest

from infra.service.fold_build import ROOMS, digest_of_rooms, fold_build
from tests.support.checkout import ROOT
from tests.test_architecture import import_graph, sources_of_all_packages


def sources(root: Path) -> list[Path]:
    rooms = [root / room for room in ROOMS]
    return [path for room in rooms for path in ([room] if room.suffix else sorted(room.rglob("*.py")))]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("rooms")
    for path in sources(ROOT):
        target = root / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return root


def test_the_rooms_import_no_other_code_of_ours() -> None:
    rooms = tuple(f"{room.removesuffix('.py').replace('/', '.')}." for room in ROOMS)
    graph = import_graph(sources_of_all_packages())
    inside = {module for module in graph if f"{module}.".startswith(rooms)}
    assert set().union(*(graph[module] for module in inside)) - inside == set()


def test_the_running_code_has_the_digest_of_the_checkout() -> None:
    assert fold_build() == digest_of_rooms(ROOT)


def test_a_changed_byte_in_any_file_changes_the_digest(copy: Path) -> None:
    before = digest_of_rooms(copy)
    for file in sources(copy):
        source = file.read_bytes()
        file.write_bytes(source + b"#")
        assert digest_of_rooms(copy) != before, file.relative_to(copy)
        file.write_bytes(source)
    assert digest_of_rooms(copy) == before


def test_a_renamed_file_changes_the_digest(copy: Path) -> None:
    before = digest_of_rooms(copy)
    (copy / "domain" / "pool.py").rename(copy / "domain" / "pool2.py")
    assert digest_of_rooms(copy) != before
    (copy / "domain" / "pool2.py").rename(copy / "domain" / "pool.py")


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_that_is_not_there_is_an_error(copy: Path, tmp_path: Path, room: str) -> None:
    shutil.copytree(copy, tmp_path / "rooms")
    gone = tmp_path / "rooms" / room
    gone.rename(gone.with_name("elsewhere"))
    with pytest.raises(FileNotFoundError, match=gone.name):
        digest_of_rooms(tmp_path / "rooms")
