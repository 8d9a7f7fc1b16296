"""The policies of a what-if: TOML files with the names of settings, and grids of values."""

from __future__ import annotations

import difflib
import itertools
import tomllib
from typing import TYPE_CHECKING, Any, Final

from domain.policies.lease import LeasePolicy
from domain.policies.lease_fields import lease_field_mismatch
from infra.settings.loading import with_changes
from infra.settings.rule_settings import LEASE_FIELDS, RULE_FIELDS, STEAL_FIELDS
from infra.settings.sources import SettingsError
from projections.whatif.comparison_result import RECORDED, REPLAYED
from projections.whatif.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from infra.settings.settings import Settings

GRID: Final = "grid"
"""The table of a policy file with a list of values for each setting of a grid."""
MAX_CELLS: Final = 100
_REARM: Final = ("rearm_max_s", "rearm_jitter_s")
_JUDGING: Final = ("sweeper_enabled", "stuck_threshold_s", "renewal_worth", *_REARM)
VARIABLE: Final = (*LEASE_FIELDS, *_JUDGING, *STEAL_FIELDS)
"""The settings that a what-if can vary."""
_WITHOUT_EFFECT: Final = frozenset({*RULE_FIELDS, "sweeper_interval_s"}) - frozenset(VARIABLE)

Changes = dict[str, Any]
Grid = dict[str, list[Any]]


def read_policies(
    files: Iterable[Path], grid_options: Iterable[str], settings: Settings, *, every_task: bool = False
) -> list[Policy]:
    """Return the policies of the files and the grid; `settings` were in force when the log was written.

    A grid is applied on top of every file, or of the recorded settings without one. `every_task`: lease settings apply
    to tasks with lease rules of their own, too.

    Raises:
        SettingsError: a file cannot be read, a name is unknown, a value is out of range, or there are too many cells.
    """
    from_options = _grid(grid_options)
    found: list[Policy] = []
    paths = list(files)
    if not paths:
        found += _cells("", {}, from_options, settings, "--grid")
    for path in paths:
        changes, grid = _file(path)
        grid |= from_options
        found += _cells(path.stem, changes, grid, settings, str(path))
    _check_names(found)
    if every_task:
        return [each._replace(pool_lease=None) for each in found]
    return found


def _file(path: Path) -> tuple[Changes, Grid]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SettingsError(f"{path}: cannot be read: {reason}") from None
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"{path}: not TOML: {error}") from None
    grid = content.pop(GRID, {})
    if not isinstance(grid, dict):
        raise SettingsError(f"{path}: {GRID} is a table of lists, such as lease_s = [60, 120, 300]")
    for name, values in grid.items():
        if not isinstance(values, list) or not values:
            raise SettingsError(f"{path}: {GRID}.{name} is a list of values, such as [60, 120, 300]")
    if not content and not grid:
        raise SettingsError(f"{path}: names no setting")
    for name in (*content, *grid):
        _check_known(name, str(path))
    return content, grid


def _grid(options: Iterable[str]) -> Grid:
    grid: Grid = {}
    for option in options:
        name, _, values = option.partition("=")
        if not name.strip() or not values.strip():
            raise SettingsError(f"--grid {option}: say NAME=VALUE,VALUE, such as lease_s=60,120,300")
        _check_known(name, "--grid")
        if name in grid:
            raise SettingsError(f"--grid {name} is given twice")
        grid[name] = [_value(each.strip()) for each in values.split(",")]
    return grid


def _value(text: str) -> Any:
    """Return a value as TOML reads it; a bare word is text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def written(value: Any) -> str:
    """Return a setting's value as people write it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _check_known(name: str, source: str) -> None:
    if name in VARIABLE:
        return
    if name in _WITHOUT_EFFECT:
        raise SettingsError(f"{name} from {source}: changes nothing that a what-if measures")
    close = difflib.get_close_matches(name.replace(".", "_"), VARIABLE, n=1, cutoff=0.5)
    raise SettingsError(
        f"{name} from {source}: not a setting that a what-if can vary{f'; did you mean {close[0]}?' if close else ''}"
    )


def _cells(name: str, changes: Changes, grid: Grid, settings: Settings, source: str) -> list[Policy]:
    """Return the policy of some changes, if there are any, and one for each cell of the grid on top of them."""
    count = 1
    for values in grid.values():
        count *= len(values)
    if count > MAX_CELLS:
        raise SettingsError(f"the grid of {source} has {count} cells; at most {MAX_CELLS} are replayed at once")
    itself = [_policy(name, changes, settings, source)] if changes else []
    if not grid:
        return itself
    cells = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    return itself + [_policy(_cell_name(name, cell), {**changes, **cell}, settings, source, cell) for cell in cells]


def _cell_name(name: str, cell: Changes) -> str:
    return " ".join((*([name] if name else []), *(f"{setting}={written(value)}" for setting, value in cell.items())))


def _policy(name: str, changes: Changes, settings: Settings, source: str, cell: Changes | None = None) -> Policy:
    changed = with_changes(settings, changes, source)
    rules = changed.rules()
    lease = {LEASE_FIELDS[each]: getattr(changed, each) for each in changes if each in LEASE_FIELDS}
    _check_mode(lease, source)
    return Policy(
        name=name,
        rules=rules,
        lease=lease,
        pool_lease=settings.rules().lease,
        rearms=any(each in changes for each in _REARM),
        named=changes,
        cell=cell or {},
    )


def _check_mode(lease: Mapping[str, Any], source: str) -> None:
    mode = lease.get("mode")
    if mode is None:
        return
    misfit = lease_field_mismatch(LeasePolicy.model_construct(_fields_set=set(lease), **lease), mode)
    if misfit is not None:
        raise SettingsError(f"{source}: lease_mode is {mode}, and {misfit}")


def _check_names(policies: Sequence[Policy]) -> None:
    seen = {RECORDED, REPLAYED}
    for policy in policies:
        if policy.name in seen:
            raise SettingsError(f"two rows would be called {policy.name}: rename a file, or leave one out")
        seen.add(policy.name)
    if len(policies) > MAX_CELLS:
        raise SettingsError(f"these are {len(policies)} policies; at most {MAX_CELLS} are replayed at once")
