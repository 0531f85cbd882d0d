"""From settings to what the rules know: the registry of assets and the set of rules."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from desk.settings import Asset, Settings
from rules.documents import Rule
from rules.inputs import Baseline, RegisteredAsset, Registry, RuleSet, rule_set
from rules.lint import RuleFile, load_all
from telemetry.errors import SettingsError
from telemetry.messages import Alias


def library_files() -> tuple[RuleFile, ...]:
    """The rules that are shipped."""
    folder = resources.files("rules") / "library"
    return tuple(
        RuleFile(file.name, file.read_text())
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
        if file.name.endswith(".yaml")
    )


def folder_files(folder: Path) -> tuple[RuleFile, ...]:
    """The rules of a site's folder. Raises SettingsError if there is no such folder or none in it."""
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix in {".yaml", ".yml"})
        found = tuple(RuleFile(str(path), path.read_text()) for path in files)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            where=f"rules.folders: {folder}", found=str(error), expected="a folder with rules as YAML files"
        ) from error
    if not found:
        raise SettingsError(
            where=f"rules.folders: {folder}", found="holds no YAML file", expected="rules, each a file"
        )
    return found


def all_rules(settings: Settings) -> tuple[Rule, ...]:
    """Shipped rules and the site's own. Raises SettingsError for the first file at fault."""
    own = [file for folder in settings.rules.folders for file in folder_files(folder)]
    return load_all((*library_files(), *own))


def rules_of(settings: Settings, *, at_ms: int) -> RuleSet:
    """The rules in force: those that someone has confirmed."""
    return rule_set(all_rules(settings), at_ms=at_ms)


def registry_of(settings: Settings, *, at_ms: int) -> Registry:
    """The assets of the settings."""
    return Registry(at_ms=at_ms, assets=tuple(map(_registered, settings.asset)))


def _registered(asset: Asset) -> RegisteredAsset:
    return RegisteredAsset(
        id=asset.id,
        label=asset.label,
        device_type=asset.device_type,
        manufacturer=asset.manufacturer,
        model=asset.model,
        serial=asset.serial,
        ward=asset.ward,
        aliases=tuple(
            Alias(protocol=alias.protocol, namespace=alias.namespace, identifier=alias.identifier)
            for alias in asset.aliases
        ),
        baselines=tuple(
            Baseline(meter=base.meter, reading=base.reading, last_done=base.last_done)
            for base in asset.baselines
        ),
    )
