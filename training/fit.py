"""Fit both models in one Ray Train run, on the same shards and over the same XGBoost communicator."""

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ray
import ray.train
from ray.train.xgboost import XGBoostTrainer
from xgboost import collective

from training.bundle import LR_FILE, XGB_FILE
from training.checkpoint import keep_progress, kept_progress
from training.feature_files import FeatureTable
from training.feature_rows import FiledSamples
from training.fit_parameters import FitParameters
from training.models import BoostedModel, Floats, LogisticModel
from training.onnx_trees import OnnxTrees, to_onnx
from training.shard_fit import fit_shard


@dataclass(frozen=True, slots=True)
class FitFacts:
    """How the fit went.

    Attributes:
        lr_iterations: of Newton's method; lr_converged: whether they reached the tolerance.
        lr_steps: steps of all features together.
        xgb_rounds: trees kept; xgb_validation_logloss: the loss there.
        xgb_resumed_rounds: rounds taken over from a checkpoint, because a worker had died; 0: none did, or before
            the first checkpoint.
        lr_s, xgb_s: seconds that worker 0 spent on each model.
    """

    lr_iterations: int
    lr_converged: bool
    lr_steps: int
    xgb_rounds: int
    xgb_validation_logloss: float
    xgb_resumed_rounds: int
    lr_s: float
    xgb_s: float


@dataclass(frozen=True, eq=False)
class FittedModels:
    """Both models, and how they were fitted."""

    lr: LogisticModel
    xgb: BoostedModel
    facts: FitFacts


def fit(
    train: FeatureTable,
    validation: FeatureTable,
    *,
    workers: int,
    parameters: FitParameters,
    storage: Path | None = None,
) -> FittedModels:
    """Return both models fitted on ``workers`` Ray Train workers. Ray must be running.

    The shards are the same for the same rows, in the same order, and number of workers. Up to ``workers - 1`` rows
    are left out, so that the shards are equal. A worker reads its shard block by block, from files that it must
    reach, and holds of it the bins of its trees alone.

    When a worker dies, all of them start again, once. Logistic regression is then fitted anew; the boosted trees
    go on from the last checkpoint. What comes out is the same, bit for bit.

    Args:
        train, validation: ``FEATURE_NAMES`` and ``is_fraud`` (0 or 1, no nulls); validation is the later.
        storage: folder that every node can write, for checkpoints, in a folder of their own that is gone
            afterwards; None: a temporary one on this machine.
    """
    cores = int(ray.cluster_resources().get("CPU", 1))  # type: ignore[no-untyped-call]
    # A folder for each fit: under a name that it knows, Ray Train would go on with what an earlier fit left there.
    with tempfile.TemporaryDirectory(prefix="tollgate-fit-", dir=storage) as scratch:
        trainer = XGBoostTrainer(
            _fit_on_worker,
            train_loop_config={
                "parameters": parameters.model_dump(),
                "train": train,
                "validation": validation,
                "threads": max(1, cores // workers),
            },
            scaling_config=ray.train.ScalingConfig(
                num_workers=workers, resources_per_worker={"CPU": min(1, cores / workers)}
            ),
            run_config=ray.train.RunConfig(
                name="tollgate",
                storage_path=scratch,
                checkpoint_config=ray.train.CheckpointConfig(num_to_keep=1),
                failure_config=ray.train.FailureConfig(max_failures=1),
            ),
        )
        result = trainer.fit()
        if result.checkpoint is None or result.metrics is None:
            raise RuntimeError("Ray Train ended without a checkpoint")
        with result.checkpoint.as_directory() as folder:
            lr = LogisticModel.from_json((Path(folder) / LR_FILE).read_bytes())
            booster = BoostedModel.from_file(Path(folder) / XGB_FILE).booster
        # It is evaluated as it will be served.
        xgb = BoostedModel(booster, OnnxTrees(to_onnx(booster)))
        return FittedModels(lr, xgb, FitFacts(**result.metrics))


def _fit_on_worker(config: dict[str, Any]) -> None:
    """Fit on this worker's shards; worker 0 reports the models."""
    parameters = FitParameters.model_validate(config["parameters"])
    context = ray.train.get_context()
    train, validation = (
        FiledSamples(config[part].shard(context.get_world_rank(), context.get_world_size()), parameters)
        for part in ("train", "validation")
    )
    progress = kept_progress()
    fitted = fit_shard(
        train,
        validation,
        parameters,
        threads=config["threads"],
        allreduce=_sum_over_workers,
        progress=progress,
        keep=keep_progress,
    )
    facts = FitFacts(
        lr_iterations=fitted.lr_iterations,
        lr_converged=fitted.lr_converged,
        lr_steps=fitted.lr_steps,
        xgb_rounds=fitted.boosted.rounds,
        xgb_validation_logloss=fitted.boosted.validation_logloss,
        xgb_resumed_rounds=len(progress.losses),
        lr_s=fitted.lr_s,
        xgb_s=fitted.xgb_s,
    )
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = None
        if context.get_world_rank() == 0:
            (Path(folder) / LR_FILE).write_text(fitted.lr.to_json(), encoding="utf-8")
            fitted.boosted.booster.save_model(Path(folder) / XGB_FILE)
            checkpoint = ray.train.Checkpoint.from_directory(folder)
        ray.train.report(asdict(facts), checkpoint=checkpoint)


def _sum_over_workers(local: Floats) -> Floats:
    return np.asarray(collective.allreduce(local, collective.Op.SUM))
