"""One training run in MLflow: parameters, metrics, data, and both models as data scientists load them."""

import logging
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer  # type: ignore[import-untyped]
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
from sklearn.pipeline import Pipeline  # type: ignore[import-untyped]
from sklearn.preprocessing import Binarizer, FunctionTransformer, StandardScaler  # type: ignore[import-untyped]

from features.formulas import Matrix
from training.mlflow_client import mlflow_client, talking_to_mlflow
from training.models import BoostedModel, LogisticModel
from training.registry import SQLITE

EXPERIMENT: Final = "tollgate"
LR_MODEL: Final = "lr_model"
XGB_MODEL: Final = "xgb_model"
DATA_FILE: Final = "data.json"
"""The history, the digest of each of its files, and the periods of its split with their rows, as an artifact."""
TOLERANCE: Final = 1e-9
"""Largest difference allowed between a probability of the scikit-learn pipeline and of the model that serves."""


def open_experiment(tracking_uri: str) -> str:
    """Return the id of the experiment; make it, and a SQLite file, where there is none.

    To be called before a fit, so that an address that does not answer costs seconds and not a fit.

    Raises:
        RegistryUnavailable: the tracking server does not answer.
    """
    location = None
    if tracking_uri.startswith(SQLITE):
        # Beside the database; MLflow's default is a folder in whatever directory the process was started in.
        database = Path(tracking_uri.removeprefix(SQLITE)).resolve()
        database.parent.mkdir(parents=True, exist_ok=True)
        location = (database.parent / "mlartifacts").as_uri()
    with talking_to_mlflow(tracking_uri):
        # After MLflow was imported, which sets its loggers up to tell of every table that it creates.
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        client = mlflow_client(tracking_uri)
        found = client.get_experiment_by_name(EXPERIMENT)
        return str(found.experiment_id if found else client.create_experiment(EXPERIMENT, location))


def log_run(
    tracking_uri: str,
    experiment_id: str,
    *,
    parameters: Mapping[str, Any],
    metrics: Mapping[str, float],
    data: Mapping[str, Any],
    thresholds: Mapping[str, Any],
    lr: LogisticModel,
    xgb: BoostedModel,
    sample: Matrix,
) -> str:
    """Log a run with the artifacts ``data.json``, ``thresholds.json`` and both models, and return its id.

    Args:
        thresholds: what thresholds would have cost.
        sample: (n, d) rows from which MLflow reads the signatures, and on which the logged pipeline must
            give the probabilities of ``lr``. They are not stored.

    Raises:
        RegistryUnavailable: the tracking server does not answer, or refuses.
        ValueError: the pipeline and ``lr`` differ.
    """
    frame = pd.DataFrame(sample, columns=list(lr.feature_names))
    pipeline = sklearn_pipeline(lr, frame)
    with talking_to_mlflow(tracking_uri), warnings.catch_warnings():
        # MLflow warns about its own type hints when its pyfunc module is imported.
        warnings.filterwarnings("ignore", ".*Any type hint is inferred", UserWarning)
        import mlflow.sklearn
        import mlflow.xgboost
        from mlflow.models import infer_signature

        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(tracking_uri)
        try:
            with mlflow.start_run(experiment_id=experiment_id) as run:
                mlflow.log_params(dict(parameters))
                mlflow.log_metrics(dict(metrics))
                mlflow.log_dict(dict(data), DATA_FILE)
                mlflow.log_dict(dict(thresholds), "thresholds.json")
                # Requirements are given: to find them out, MLflow would load the model in a process of its own.
                mlflow.sklearn.log_model(
                    pipeline,
                    name=LR_MODEL,
                    signature=infer_signature(frame, pipeline.predict_proba(frame)),
                    pip_requirements=[f"scikit-learn=={version('scikit-learn')}", f"numpy=={version('numpy')}"],
                    pyfunc_predict_fn="predict_proba",
                )
                mlflow.xgboost.log_model(
                    xgb.booster,
                    name=XGB_MODEL,
                    signature=infer_signature(frame, xgb.probability(sample)),
                    pip_requirements=[f"xgboost-cpu=={version('xgboost-cpu')}"],
                    model_format="ubj",
                )
                return str(run.info.run_id)
        finally:
            mlflow.set_tracking_uri(before)


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested parameters under dotted names, as MLflow wants them.

    >>> flat({"l2": 1.0, "boosting": {"eta": 0.1}})
    {'l2': 1.0, 'boosting.eta': 0.1}
    """
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def sklearn_pipeline(model: LogisticModel, frame: pd.DataFrame) -> Pipeline:
    """Return the scikit-learn pipeline that computes what ``model`` computes, checked on the rows of ``frame``.

    Args:
        frame: some rows, with the features as columns.

    Raises:
        ValueError: a probability differs by more than ``TOLERANCE``.
    """
    names = list(model.feature_names)
    log1p = [name for name, how in zip(names, model.transforms, strict=True) if how == "log1p"]
    linear = [name for name in names if name not in log1p]
    # The pipeline knows log1p of all features that have it, then the linear ones, then each step as a Binarizer.
    transform = ColumnTransformer(
        [
            ("log1p", FunctionTransformer(np.log1p, feature_names_out="one-to-one"), log1p),
            ("linear", "passthrough", linear),
            *_step_transformers(model, names),
        ]
    ).fit(frame)
    order = [names.index(name) for name in (*log1p, *linear)]
    scaler = StandardScaler()
    scaler.mean_ = np.concatenate([model.mean[order], model.steps.share])
    scaler.scale_ = np.concatenate([model.scale[order], np.ones(len(model.steps))])
    scaler.var_ = scaler.scale_**2
    regression = LogisticRegression()
    regression.classes_ = np.array([0, 1])
    regression.coef_ = np.concatenate([model.coefficients[order], model.steps.height])[None, :]
    regression.intercept_ = np.array([model.intercept])
    scaler.n_features_in_ = regression.n_features_in_ = len(names) + len(model.steps)
    pipeline = Pipeline([("transform", transform), ("standardise", scaler), ("regression", regression)])
    difference = np.abs(pipeline.predict_proba(frame)[:, 1] - model.probability(frame.to_numpy())).max()
    if not difference <= TOLERANCE:
        raise ValueError(f"the scikit-learn pipeline differs from the served model by {difference}")
    return pipeline


def _step_transformers(model: LogisticModel, names: list[str]) -> list[tuple[str, Binarizer, list[str]]]:
    places = zip(model.steps.feature.tolist(), model.steps.above.tolist(), strict=True)
    return [(f"{names[j]} > {above!r}", Binarizer(threshold=above), [names[j]]) for j, above in places]
