"""The graph, on one screen: Ingress -> Router -> Features -> {LogisticRegression, XGBoost} -> decision.

Labels go from the ingress to Features directly, questions about earlier decisions to DecisionLog.
"""

import os
from pathlib import Path
from typing import Any

from ray import serve
from ray.serve import Application

from deployments.features import Features
from deployments.fused import Fused
from deployments.ingress import Ingress
from deployments.ledger.folders import archive_folder, models_folder, spool_folder
from deployments.ledger.log import DecisionLog
from deployments.models import LogisticRegression, XGBoost
from deployments.router import Router
from deployments.settings import AppArgs
from features.store_address import public_address

DEFAULT_REDIS_URL = "redis://127.0.0.1:6399/0"
DEFAULT_TRACKING_URI = "http://127.0.0.1:5000"


def build(args: AppArgs) -> Application:
    """Return the application; ``args`` come from ``serve_config.yaml``, then from the environment.

    Serve keeps the arguments of deployments, and Ray shows them, so addresses go in without user and password;
    each replica adds these from its own environment.
    """
    redis_url = public_address(args.redis_url or os.environ.get("TOLLGATE_REDIS_URL", DEFAULT_REDIS_URL))
    tracking_uri = public_address(args.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", DEFAULT_TRACKING_URI))
    # Without one, each replica takes that of the machine that it runs on, which need not be this one.
    data = None if args.data_folder is None else Path(args.data_folder).resolve()
    if args.placement == "fused":
        return _bind(serve.ingress()(Fused), redis_url, tracking_uri, data, name="Fused")
    features = _bind(Features, redis_url)
    kept = data and models_folder(data)
    lr = _bind(LogisticRegression, tracking_uri, kept)
    xgb = _bind(XGBoost, tracking_uri, kept)
    router = _bind(Router, features, lr, xgb, tracking_uri, redis_url, data and spool_folder(data), kept)
    log = _bind(DecisionLog, redis_url, data and archive_folder(data), True)
    return _bind(serve.ingress()(Ingress), router, features, log, name="Ingress")


def _bind(replica: type[Any], *args: Any, name: str | None = None) -> Application:
    # An empty user_config makes Serve call reconfigure() even where the file says nothing.
    deployment: Any = serve.deployment(name=name or replica.__name__, user_config={})(replica)
    application: Application = deployment.bind(*args)
    return application
