"""The checkpoint of a fit in Ray Train: how far boosting is, for the workers that replace ones that died.

trees.ubj       the trees until now
losses.json     the validation loss after each round
"""

import json
import tempfile
from pathlib import Path
from typing import Final

import ray.train

from training.boosting import NOT_BEGUN, BoostingProgress

TREES_FILE: Final = "trees.ubj"
LOSSES_FILE: Final = "losses.json"


def keep_progress(progress: BoostingProgress) -> None:
    """Keep the progress as the checkpoint of this run. Every worker must call it; the first one writes."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = None
        if ray.train.get_context().get_world_rank() == 0:
            (Path(folder) / TREES_FILE).write_bytes(progress.trees)
            (Path(folder) / LOSSES_FILE).write_text(json.dumps(progress.losses), encoding="utf-8")
            checkpoint = ray.train.Checkpoint.from_directory(folder)
        ray.train.report({"xgb_rounds": len(progress.losses)}, checkpoint=checkpoint)


def kept_progress() -> BoostingProgress:
    """Return the progress that the last checkpoint of this run holds, the same on every worker."""
    checkpoint = ray.train.get_checkpoint()
    if checkpoint is None:
        return NOT_BEGUN
    with checkpoint.as_directory() as name:
        folder = Path(name)
        if not (folder / TREES_FILE).exists():
            # The models themselves: a worker died between the last report and the end of the run.
            return NOT_BEGUN
        losses = json.loads((folder / LOSSES_FILE).read_text("utf-8"))
        return BoostingProgress((folder / TREES_FILE).read_bytes(), tuple(losses))
