"""The page's files: vendored ones are as published, every import leads somewhere, and no text can become HTML."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.support.cases import case
from tests.support.checkout import ROOT
from tests.support.vendored import assert_as_published

STATIC = ROOT / "custody_dashboard" / "static"
VENDOR = STATIC / "vendor"
INDEX = (STATIC / "index.html").read_text(encoding="utf-8")
OWN = [*sorted((STATIC / "js").rglob("*.js"))]
MAX_LINES = 250
UNSAFE = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|\bstyle=|\bon[a-z]+=['\"]"
)
"""What would parse a text as HTML or run it, and inline styles and handlers, which the page's policy forbids."""


def test_vendored_files_are_as_published() -> None:
    assert_as_published(VENDOR)


def test_each_vendored_package_has_its_licence() -> None:
    for folder in sorted(each for each in VENDOR.iterdir() if each.is_dir()):
        with case(folder.name):
            assert (folder / "LICENSE").is_file()


def _imports() -> dict[str, str]:
    found = re.search(r'<script type="importmap">(.*?)</script>', INDEX, re.DOTALL)
    assert found is not None
    imports: dict[str, str] = json.loads(found[1])["imports"]
    return imports


def _file_of(specifier: str, importer: Path) -> Path:
    imports = _imports()
    prefix = next((each for each in imports if each.endswith("/") and specifier.startswith(each)), None)
    if prefix is not None:
        address = imports[prefix] + specifier.removeprefix(prefix)
    elif specifier.startswith("."):
        return (importer.parent / specifier).resolve()
    else:
        address = imports[specifier]
    return STATIC / address.removeprefix("/static/")


def test_every_import_and_every_address_leads_to_a_file() -> None:
    imported = re.compile(r"""(?:^|;)\s*(?:import|export)\b[^;'"]*?from\s*['"]([^'"]+)['"]""", re.MULTILINE)
    for file in [*OWN, *VENDOR.rglob("*.js")]:
        for specifier in imported.findall(file.read_text(encoding="utf-8")):
            with case(f"{file.name}: {specifier}"):
                assert _file_of(specifier, file).is_file()
    for address in re.findall(r'(?:href|src)="(/[^"]+)"', INDEX):
        with case(address):
            assert (STATIC / address.removeprefix("/static/")).is_file()


def test_every_module_is_asked_for_at_once() -> None:
    asked = {STATIC / each for each in re.findall(r'rel="modulepreload" href="/static/([^"]+)"', INDEX)}
    assert asked == {*OWN, *VENDOR.rglob("*.js")} - {STATIC / "js" / "main.js"}


def test_every_module_is_used() -> None:
    used = {"main.js"}
    for file in OWN:
        used |= {each.removeprefix("#/") for each in re.findall(r"from '(#/[^']+)'", file.read_text(encoding="utf-8"))}
    assert {file.relative_to(STATIC / "js").as_posix() for file in OWN} == used


def test_no_text_can_become_html_or_run() -> None:
    for file in OWN:
        with case(file.name):
            assert UNSAFE.findall(file.read_text(encoding="utf-8")) == []


def test_nothing_is_asked_of_another_host() -> None:
    for file in [*OWN, STATIC / "index.html", *(STATIC / "style").glob("*.css")]:
        with case(file.name):
            found = re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}", file.read_text(encoding="utf-8"))
            assert found == []


def test_modules_stay_small() -> None:
    for file in OWN:
        with case(file.name):
            assert len(file.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def _luminance(colour: str) -> float:
    parts = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_what_is_painted_on_a_canvas_stands_out_from_its_panel() -> None:
    """WCAG 1.4.11: 3 to 1. No tool looks into a canvas."""
    base = (STATIC / "style" / "base.css").read_text(encoding="utf-8")
    pairs = dict(re.findall(r"--([a-z-]+): light-dark\((#[0-9a-f]{6}, #[0-9a-f]{6})\)", base))
    panels = [_luminance(each) for each in pairs["panel"].split(", ")]
    for name in ("ended", "accent", "stalled", "silent", "grace", "text"):
        for colour, panel in zip(pairs[name].split(", "), panels, strict=True):
            low, high = sorted((_luminance(colour), panel))
            with case(f"{name} {colour}"):
                assert (high + 0.05) / (low + 0.05) >= 3
