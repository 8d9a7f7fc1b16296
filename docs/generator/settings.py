"""docs/settings.md: every setting."""

from __future__ import annotations

from docs.generator.fields import cell, doc_of, kind_of, meaning_of, shown
from infra.cli.framework.options import options_from_model
from infra.settings.settings import FORGIVING, GROUPS, Settings
from infra.settings.sources import ENV_PREFIX

_HEAD = """\
# Settings

<!-- Made by `python -m docs.generate` from infra/settings/settings.py; edit that. -->

A setting comes from its flag, else from its environment variable, else from the configuration file, else it has its
default. The file is TOML with the names below as keys, `custody.toml` in the working directory or the one that
`--config` or `CUSTODY_CONFIG` names. An empty variable counts as absent. `custody config` prints the values in force
and where each came from, with secrets masked.

A command has the flags of the settings that it uses: `custody serve` none of the embedded broker's, which all begin
with `--broker-`, and `custody up` and `custody demo` none for a broker elsewhere.

A flag whose name ends in `-s` takes seconds or a length such as `90s`, `10m` or `1h30m`, one whose name ends in
`-hours` hours or such a length; variables and files have the number alone.

Settings are checked together when a command starts. One that is unknown, out of range or at odds with another ends the
command with status 2 and a line for each mistake, and so does an unknown variable of the environment whose name begins
with `CUSTODY_`; those that Kubernetes sets for services of that name are left alone. The exceptions are
{forgiving}: an unusable value of these falls back to the default, with a warning.

Settings that are allowed, and keep each other from doing anything, refuse nothing: `custody up` and `custody serve` log
a warning for each such pair, for instance a `stuck_threshold_s` that no lease lives to reach.
"""


def settings_page() -> str:
    """Return the page."""
    forgiving = " and ".join(f"`{name}`" for name in sorted(FORGIVING))
    lines = [_HEAD.format(forgiving=forgiving)]
    flags = {spec.parameter: spec.flag for spec in options_from_model(Settings, as_named=True)}
    for group in GROUPS:
        lines += [f"## {doc_of(group).removesuffix('.')}", ""]
        lines += ["| setting | flag | variable | type | default | meaning |", "|---|---|---|---|---|---|"]
        for name, info in group.model_fields.items():
            if name not in group.__annotations__:
                continue
            default = "" if info.default is None else shown(info.default)
            kind = kind_of(info.annotation, info.metadata).replace("SecretStr", "secret").replace("Path", "path")
            lines.append(
                f"| `{name}` | `{flags[name]}` | `{ENV_PREFIX}{name.upper()}` | {cell(kind.removesuffix(' or null'))} "
                f"| {cell(default)} | {cell(meaning_of(group, name))} |"
            )
        lines.append("")
    return "\n".join(lines)
