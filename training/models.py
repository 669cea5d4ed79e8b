"""The two models as they score: arrays and a booster, read from files that hold no code (no pickle)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
import numpy.typing as npt
import xgboost as xgb
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from scipy.special import expit  # type: ignore[import-untyped]

from features.definitions import FEATURES
from features.errors import BundleRefused
from features.faults import first_fault
from features.formulas import Matrix
from training.onnx_trees import OnnxTrees
from training.steps import NO_STEPS, Steps

Floats = npt.NDArray[np.float64]
Probabilities = npt.NDArray[np.float32] | Floats
Transform = Literal["linear", "log1p"]

FEATURE_TRANSFORMS: Final[Mapping[str, Transform]] = {feature.name: feature.scale for feature in FEATURES}
"""How logistic regression reads each feature; on the handbook data it is worth .02 of average precision."""

_Number = Annotated[float, Field(allow_inf_nan=False)]
_Scale = Annotated[float, Field(allow_inf_nan=False, gt=0)]


class _StepsOfFeature(BaseModel):
    """The steps of one feature, lowest first."""

    model_config = ConfigDict(extra="forbid", strict=True)

    feature: str
    above: list[_Number]
    share: list[_Number]
    height: list[_Number]


class _LogisticFile(BaseModel):
    """The content of ``lr.json``. Python writes a float's shortest exact form, so no bit is lost."""

    model_config = ConfigDict(extra="forbid", strict=True)

    feature_names: list[str]
    transforms: list[Transform]
    mean: list[_Number]
    scale: list[_Scale]
    coefficients: list[_Number]
    intercept: _Number
    steps: list[_StepsOfFeature] = []
    """Absent in the files of the first release."""


@dataclass(frozen=True, slots=True)
class Term:
    """One summand of a logistic regression's log-odds.

    Attributes:
        feature: name of the feature that it reads.
        above: of a step, the place that the feature must exceed; None for the feature's slope.
        log_odds: what it adds, compared with its mean in training.
    """

    feature: str
    above: float | None
    log_odds: float


@dataclass(frozen=True, eq=False)
class LogisticModel:
    """Logistic regression on transformed and standardised features, and on steps of them.

    Standardised values are not clipped: a clip at 8 standard deviations costs .06 of average precision on the
    handbook data, because a merchant's fraud rate, the best feature, lies far out exactly where it matters.

    Attributes:
        feature_names: the d columns of every matrix, in order.
        transforms: d times "linear" or "log1p", applied before standardisation.
        mean, scale: (d,) of the transformed training data; scale > 0.
        coefficients: (d,) log-odds a standard deviation.
        intercept: log-odds.
        steps: of the features, before any transformation.
    """

    feature_names: tuple[str, ...]
    transforms: tuple[Transform, ...]
    mean: Floats
    scale: Floats
    coefficients: Floats
    intercept: float
    steps: Steps = NO_STEPS
    _log1p: npt.NDArray[np.intp] = field(init=False, repr=False)
    _slopes: Floats = field(init=False, repr=False)
    _offset: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Fold standardisation into one slope a feature and one offset: a score is one dot product."""
        lengths = {len(self.transforms), len(self.mean), len(self.scale), len(self.coefficients)}
        if lengths != {len(self.feature_names)}:
            raise ValueError(f"{len(self.feature_names)} feature names, but parameters of lengths {lengths}")
        slopes = self.coefficients / self.scale
        log1p = [i for i, transform in enumerate(self.transforms) if transform == "log1p"]
        object.__setattr__(self, "_log1p", np.array(log1p, np.intp))
        object.__setattr__(self, "_slopes", slopes)
        usual = float(self.mean @ slopes) + float(self.steps.share @ self.steps.height)
        object.__setattr__(self, "_offset", self.intercept - usual)

    def probability(self, matrix: Matrix) -> Floats:
        """Return the fraud probabilities (n,) of a feature matrix (n, d)."""
        log_odds = self._transformed(matrix) @ self._slopes
        log_odds += self._offset
        if len(self.steps):
            log_odds += self.steps.indicators(matrix) @ self.steps.height
        probability: Floats = expit(log_odds)
        return probability

    def contributions(self, matrix: Matrix) -> Matrix:
        """Return (n, d) log-odds: what each feature adds, compared with its mean in training."""
        of_slopes = (self._transformed(matrix) - self.mean) * self._slopes
        return of_slopes + self.steps.contributions(matrix) if len(self.steps) else of_slopes

    def terms(self, row: Floats) -> list[Term]:
        """Return every summand of one row's (d,) log-odds but the intercept; those of a feature add up to what
        :meth:`contributions` gives it."""
        slopes = (self._transformed(row[None])[0] - self.mean) * self._slopes
        terms = [Term(name, None, value) for name, value in zip(self.feature_names, slopes.tolist(), strict=True)]
        steps = (self.steps.indicators(row[None])[0] - self.steps.share) * self.steps.height
        for feature, above, value in zip(self.steps.feature, self.steps.above, steps, strict=True):
            terms.append(Term(self.feature_names[feature], float(above), float(value)))
        return terms

    def _transformed(self, matrix: Matrix) -> Matrix:
        transformed = matrix.copy()
        transformed[:, self._log1p] = np.log1p(matrix[:, self._log1p])
        return transformed

    def to_json(self) -> str:
        """Return the content of ``lr.json``."""
        return _LogisticFile(
            feature_names=list(self.feature_names),
            transforms=list(self.transforms),
            mean=self.mean.tolist(),
            scale=self.scale.tolist(),
            coefficients=self.coefficients.tolist(),
            intercept=self.intercept,
            steps=_by_feature(self.steps, self.feature_names),
        ).model_dump_json(indent=1)

    @classmethod
    def from_json(cls, content: bytes) -> "LogisticModel":
        """Return the model that ``lr.json`` holds.

        Raises:
            BundleRefused: the content is no such model.
        """
        try:
            parsed = _LogisticFile.model_validate_json(content)
            return cls(
                feature_names=tuple(parsed.feature_names),
                transforms=tuple(parsed.transforms),
                mean=np.array(parsed.mean),
                scale=np.array(parsed.scale),
                coefficients=np.array(parsed.coefficients),
                intercept=parsed.intercept,
                steps=_steps(parsed),
            )
        except ValueError as error:
            reason = first_fault(error) if isinstance(error, ValidationError) else str(error)
            raise BundleRefused(f"The logistic regression of the bundle cannot be read: {reason}.") from error


def _by_feature(steps: Steps, names: tuple[str, ...]) -> list[_StepsOfFeature]:
    return [
        _StepsOfFeature(
            feature=names[position],
            above=steps.above[of_it].tolist(),
            share=steps.share[of_it].tolist(),
            height=steps.height[of_it].tolist(),
        )
        for position in np.unique(steps.feature)
        for of_it in [steps.feature == position]
    ]


def _steps(parsed: _LogisticFile) -> Steps:
    """Return the steps of a file.

    Raises:
        ValueError: they read a feature that is not there, or their lists differ in length.
    """
    groups = sorted(parsed.steps, key=lambda group: parsed.feature_names.index(group.feature))
    if any(not len(group.above) == len(group.share) == len(group.height) for group in groups):
        raise ValueError("the lists of a feature's steps differ in length")
    positions = [parsed.feature_names.index(group.feature) for group in groups for _ in group.above]
    columns = (
        [value for group in groups for value in getattr(group, name)] for name in ("above", "share", "height")
    )
    return Steps(np.array(positions, np.intp), *(np.array(column, np.float64) for column in columns))


class BoostedModel:
    """Boosted trees, scored in the calling thread alone.

    One thread, because a micro-batch is too small to be worth a second one, and replicas are what scales.

    Args:
        booster: explains, and scores where there is nothing faster.
        onnx: the same trees as ONNX.
    """

    def __init__(self, booster: xgb.Booster, onnx: OnnxTrees | None = None) -> None:
        self.booster = booster
        self._onnx = onnx
        booster.set_param({"nthread": 1})

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The d columns of every matrix, in order."""
        return tuple(self.booster.feature_names or ())

    def probability(self, matrix: Matrix) -> npt.NDArray[np.float32]:
        """Return the fraud probabilities (n,) of a feature matrix (n, d). Safe to call from several threads."""
        if self._onnx is not None:
            return self._onnx.probability(matrix)
        probability: npt.NDArray[np.float32] = self.booster.inplace_predict(matrix, validate_features=False)
        return probability

    def contributions(self, matrix: Matrix) -> Matrix:
        """Return (n, d) log-odds: what each feature adds along the paths that a row takes (Saabas).

        The approximate form, because its cost stays small in an attack, when every row of a batch must be
        explained: 640 us for 64 rows, where exact Shapley values (Lundberg, 2020) take 31 ms (84 trees of
        depth 6). Both sum to the log-odds of the score. On flagged handbook rows they name the same first
        feature in 83 % of the cases.
        """
        columns = xgb.DMatrix(matrix, nthread=1)
        with_bias = self.booster.predict(
            columns, pred_contribs=True, approx_contribs=True, validate_features=False
        )
        return with_bias[:, :-1].astype(np.float64)

    @classmethod
    def from_file(cls, path: Path, onnx: OnnxTrees | None = None) -> "BoostedModel":
        """Return the model in an XGBoost file (UBJSON); it scores as ``onnx`` where that is given.

        Raises:
            BundleRefused: the file is no such model.
        """
        try:
            return cls(xgb.Booster(model_file=path), onnx)
        except xgb.core.XGBoostError as error:
            reason = str(error).splitlines()[0]
            raise BundleRefused(f"The boosted trees of the bundle cannot be read: {reason}") from error
