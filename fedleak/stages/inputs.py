"""What a federation depends on besides its settings: code, files, initial weights; kept to notice changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ValidationError

from fedleak.data.sources.base import Dataset
from fedleak.data.sources.torchvision_copy import TorchvisionDataset
from fedleak.errors import InputError
from fedleak.models.factory import Factory
from fedleak.models.state import whole_state
from fedleak.records import Record, read_json, write_atomically
from fedleak.run_directory import INPUTS, RunDirectory
from fedleak.scenario.schema import Scenario
from fedleak.stages.source import code_of
from fedleak.transcript.manifest import digest_of, file_digest, load_manifest
from fedleak.transcript.reader import TranscriptReader


class StoredFiles(Record):
    """Files that the settings name: their look, which is cheap to compare, and their content."""

    look: str
    """Hash of names, sizes and times of modification."""
    content: str
    """Hash of names and contents."""


class Inputs(Record):
    """Inputs of a federation, by what a message calls them."""

    code: dict[str, str]
    files: dict[str, StoredFiles]


def keep_inputs(scenario: Scenario, run: RunDirectory) -> None:
    """Store the inputs of a federation that begins."""
    files = {
        str(path): StoredFiles(look=_look(path), content=_content(path)) for path in dict.fromkeys(_paths(scenario))
    }
    run.root.mkdir(parents=True, exist_ok=True)
    write_atomically(run.root / INPUTS, Inputs(code=_code(scenario), files=files).model_dump_json(indent=1))


def changed_inputs(scenario: Scenario, run: RunDirectory) -> str:
    """What changed since the federation of a run began; empty if nothing did, or if its inputs were not kept.

    A folder of data is read only if its files look different (names, sizes or times), and need not exist; a user's own
    network is built and compared with the recorded model of the first round.

    Raises:
        InputError: if a user's own network cannot be built.
    """
    try:
        kept = Inputs.model_validate(read_json(run.root / INPUTS))
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, ValidationError) as error:
        return f"{run.root / INPUTS} ({str(error).splitlines()[0]})"
    code = _code(scenario)
    for name in sorted(code.keys() | kept.code.keys()):
        if code.get(name) != kept.code.get(name):
            return f"the code of {name}"
    for name, files in kept.files.items():
        path = Path(name)
        if path.exists() and _look(path) != files.look and _content(path) != files.content:
            return f"the content of {name}"
    return _changed_weights(scenario, run)


def _code(scenario: Scenario) -> dict[str, str]:
    parts: list[BaseModel] = [scenario.dataset, scenario.served_model, scenario.task, scenario.federation]
    crafting = scenario.adversary.crafting
    return code_of([*parts, scenario.adversary.shift, *([crafting] if crafting is not None else [])])


def _paths(scenario: Scenario) -> Iterator[Path]:
    """Files and folders that the settings name; torchvision compares its own with known sums."""
    for part in (scenario.dataset, scenario.adversary.shift, scenario.served_model, scenario.federation):
        yield from _paths_in(part)


def _paths_in(value: Any) -> Iterator[Path]:
    if isinstance(value, Path):
        yield value.expanduser().absolute()
    elif isinstance(value, BaseModel) and not isinstance(value, TorchvisionDataset):
        if isinstance(value, Dataset) and (folder := value.folder()) is not None:
            yield folder
        for name in type(value).model_fields:
            yield from _paths_in(getattr(value, name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _paths_in(item)


def _files(path: Path) -> list[Path]:
    found = [path] if path.is_file() else sorted(path.rglob("*")) if path.is_dir() else []
    return [file for file in found if file.is_file()]


def _look(path: Path) -> str:
    states = ((file, file.stat()) for file in _files(path))
    return digest_of([[str(file.relative_to(path)), state.st_size, state.st_mtime_ns] for file, state in states])


def _content(path: Path) -> str:
    return digest_of([[str(file.relative_to(path)), file_digest(file)] for file in _files(path)])


def _changed_weights(scenario: Scenario, run: RunDirectory) -> str:
    """Compare the weights that a user's own factory or checkpoint gives now with those of the first round."""
    model = scenario.model.innermost
    if not isinstance(model, Factory) and model.weights is None:
        return ""
    try:
        manifest = load_manifest(run.transcript)
        recorded = TranscriptReader(run.transcript, verify=False).model(0)
    except InputError:  # not finished: nothing to compare with
        return ""
    from fedleak.federation.model import initial_network

    name = model.path if isinstance(model, Factory) else f"model {model.kind}"
    state = whole_state(initial_network(scenario, manifest.input_shape, manifest.classes))
    same = state.keys() == recorded.keys() and all(torch.equal(state[name], recorded[name]) for name in state)
    return "" if same else f"the initial weights of {name}"
