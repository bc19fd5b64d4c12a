"""One line on each attack as it ends, so that a long run shows what it has found; all is scored in full later."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from fedleak.attacks.matching import pairwise_squared_distance
from fedleak.examples import IMAGES, kind_of, to_unit
from fedleak.progress import Progress
from fedleak.results.format import duration, fixed, metric_value, plural
from fedleak.run_directory import RunDirectory
from fedleak.scenario.schema import Scenario
from fedleak.stages.attack.record import AttackRecord, load_record
from fedleak.stages.score.attacks import match_attack
from fedleak.stages.score.recorded import RecordedRun
from fedleak.stages.score.rows import MatchedImages


class FirstScores:
    """Tells the error of an attack once it has ended, in the process that may open the truth.

    Args:
        scenario, files: of the run.
        progress: where the lines go.
    """

    def __init__(self, scenario: Scenario, files: RunDirectory, progress: Progress) -> None:
        self._scenario, self._files, self._progress = scenario, files, progress

    @cached_property
    def _run(self) -> RecordedRun:
        return RecordedRun.open(self._scenario, self._files)

    def show(self, attack: str) -> None:
        """Say one line on an attack that has ended.

        Raises:
            InputError: if its files, the transcript or the truth are damaged.
        """
        record = load_record(self._files.attacks / attack)
        if record is not None:
            self._progress.say(f"attack {attack}: {self._line(record)}")

    def _line(self, record: AttackRecord) -> str:
        failed = [attempt for attempt in record.attempts if attempt.status == "failed"]
        failures = f"failed on {plural(len(failed), 'update')} ({failed[0].reason})" if failed else ""
        matched = match_attack(self._run, record)
        if not matched.rows:
            return failures or "there was no update to attack"
        spent = sum(attempt.seconds for attempt in record.attempts) + (record.training_seconds or 0)
        text = f"{plural(len(matched.rows), 'image')} rebuilt in {duration(spent)}, {self._error(matched)}"
        return f"{text}; {failures}" if failures else text

    def _error(self, matched: MatchedImages) -> str:
        mse = torch.stack(matched.reconstructions).sub(torch.stack(matched.originals)).square().flatten(1).mean(dim=1)
        text = f"MSE {metric_value('mse', float(mse.mean()))}"
        if kind_of(self._run.reader.manifest.input_shape) is IMAGES:
            text += f", PSNR {fixed(float(-10 * mse.clamp_min(1e-10).log10().mean()), 1)} dB"
        guess = self._mean_image
        if guess is None:
            return text
        blind = pairwise_squared_distance(guess[None, None], torch.stack(matched.originals)[None])[0, 0]
        return f"{text} (mean public image: MSE {metric_value('mse', float(blind.mean()))})"

    @cached_property
    def _mean_image(self) -> Tensor | None:
        """The mean public image ``(C, H, W)``, which is closest if nothing leaks; None without public images."""
        if not self._run.reader.has_public_images:
            return None
        images, _ = self._run.reader.public()
        return to_unit(images).mean(dim=0)
