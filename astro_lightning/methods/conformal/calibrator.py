"""Conformal inference of a whole run: p-value per class, prediction set, p-value and flag of unknown kinds."""

import fnmatch
import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from astro_lightning.core.calibration import Calibration, Columns, Evidence, Fold, Pairs
from astro_lightning.data.errors import BadInput
from astro_lightning.methods.conformal.combine import RankCombination
from astro_lightning.methods.conformal.cross import CrossConformal
from astro_lightning.methods.conformal.evaluate import summary
from astro_lightning.methods.conformal.fdr import benjamini_hochberg
from astro_lightning.methods.conformal.novelty_model import NoveltyModel
from astro_lightning.methods.conformal.output import contest_prob, set_column, unknown_column, unknown_probability
from astro_lightning.methods.conformal.ranks import Ranks, pooled_p_values
from astro_lightning.methods.conformal.temperature import fit_temperature, logits_of, scale
from astro_lightning.methods.conformal.weighted import DensityRatio

log = logging.getLogger(__name__)

THRESHOLD = "threshold"  # column of a task of two classes: it decides for the first where its probability is above
MIN_OBJECTS = 100  # fewer do not show how many of them are unknown: none is the guess then


class Calibrator(Calibration):
    """Cross-conformal over the folds of a run; with one split and a calibration part, plain split conformal.

    The temperature comes from the validation objects, the ranks that join the novelty scores from the calibration objects of the
    other folds, or from validation objects where there is one split: never from the objects whose p-values they shape, but for
    the one temperature of all folds, whose validation objects other folds hold out.

    Args:
        classes: Class names, in the order of the logits.
        alpha: A set misses the true class of this share of the objects.
        fdr: Share of known objects among the flagged ones of a table (adaptive Benjamini-Hochberg).
        score: `lac`, `aps` or `raps`.
        conditional: `class` (coverage in each class), `marginal`, or `cluster` (as class, rare classes borrow).
        min_count: With `cluster`, calibration objects below which a class borrows.
        temperature: Scale the probabilities by a temperature, too; one for all folds.
        scores: Novelty scores that are joined through their ranks, see `NoveltyModel`.
        n_component: Principal components of the embedding in which distances are taken.
        shift: Names of the embedding's dimensions (`*` allowed) by which calibration objects are weighted to resemble the
            survey (the test objects of the run, without their labels); None = no covariate shift.
        clip: Largest of these weights, and inverse of the smallest.

    Raises:
        BadInput: One of them cannot be.
    """

    def __init__(
        self,
        *,
        classes: Sequence[str],
        alpha: float = 0.1,
        fdr: float = 0.1,
        score: str = "lac",
        conditional: str = "class",
        min_count: int = 19,
        temperature: bool = True,
        scores: Sequence[str] = ("energy", "knn"),
        n_component: int = 20,
        shift: Sequence[str] | None = None,
        clip: float = 20.0,
    ) -> None:
        for name, share in (("alpha", alpha), ("fdr", fdr)):
            if not 0 < share < 1:
                raise BadInput(f"task.calibrator.{name}={share}: give a number between 0 and 1")
        if shift:
            DensityRatio(clip)
        self.classes, self.alpha, self.fdr = list(classes), alpha, fdr
        self.temperature, self.n_component, self.shift, self.clip = temperature, n_component, shift, clip
        options: dict[str, Any] = {"score": score, "conditional": conditional, "min_count": min_count}
        self.conformal = CrossConformal(self.classes, **options)
        self.scores = NoveltyModel(n_component, scores).names
        self.models: list[NoveltyModel] = []
        self.combinations: list[RankCombination] = []
        self.ranks: list[Ranks] = []
        self.scale = 1.0
        self.ratio: DensityRatio | None = None
        self.covariates: list[int] = []

    def fit(self, folds: Sequence[Fold], names: Sequence[str] = (), survey: Evidence | None = None) -> None:
        """See `Calibration.fit`.

        Raises:
            BadInput: `shift` names no dimension.
        """
        held = [fold.calibration for fold in folds]
        weights = self._weigh(held, names, survey) if self.shift else None
        if self.temperature:
            # One for all folds: where few objects are wrong each would find another, and scores of two folds could not be compared.
            p, y = (np.concatenate([getattr(fold.stop, n) for fold in folds]) for n in ("probability", "label"))
            self.scale = fit_temperature(logits_of(p), y)
        self.models = [NoveltyModel(self.n_component, self.scores).fit(fold.train) for fold in folds]
        self._rank(held, [fold.stop for fold in folds], weights)
        self._compare(held, weights)

    def renew(self, held: Sequence[Evidence]) -> None:
        """See `Calibration.renew`; temperature and novelty models stay, and what calibrates is taken as it is, without weights."""
        self.ratio, spare, ranked = None, held, held
        if len(held) == 1:  # half of them give the ranks that join the novelty scores
            spare, ranked = ([held[0].only(slice(first, None, 2))] for first in (0, 1))
        self._rank(ranked, spare, None)
        self._compare(held, None)

    def _rank(self, held: Sequence[Evidence], spare: Sequence[Evidence], weights: list[np.ndarray] | None) -> None:
        """Novelty ranks of `held`; where there is one fold, `spare` gives the ranks that join the novelty scores."""
        found = [model.scores(objects) for model, objects in zip(self.models, held, strict=True)]
        self.combinations, self.ranks = [], []
        for f, own in enumerate(found):
            others = [found[g] for g in range(len(found)) if g != f] or [self.models[f].scores(spare[f])]
            known = {name: np.concatenate([scores[name] for scores in others]) for name in own}
            self.combinations.append(RankCombination().fit(known))
            self.ranks.append(Ranks(self.combinations[f].score(own), None if weights is None else weights[f]))

    def _compare(self, held: Sequence[Evidence], weights: list[np.ndarray] | None) -> None:
        """What the classes are compared with."""
        probs = [self._probability(objects) for objects in held]
        self.conformal.fit(probs, [objects.label for objects in held], weights)
        self._said(lambda: self.conformal.check_alpha(self.alpha))

    def columns(self, evidence: Mapping[int, Evidence], pairs: Pairs | None = None) -> Columns:
        """`prob_<class>`, `p_<class>`, `set` and `ood_p`; and a task's `threshold` at the temperature of the probabilities."""
        pairs = pairs or [(f, f) for f in evidence]
        probability = {f: self._probability(objects) for f, objects in evidence.items()}
        novelty = {f: self.combinations[f].score(self.models[f].scores(e)) for f, e in evidence.items()}
        weight = None
        if self.ratio is not None:
            weight = self.ratio.weights(self._covariates(evidence[pairs[0][0]]))
        against = [g for _, g in pairs]
        p = self.conformal.p_values([probability[f] for f, _ in pairs], weight, against)
        mean = np.mean(list(probability.values()), axis=0)
        columns: Columns = {f"prob_{c}": mean[:, k].astype(np.float32) for k, c in enumerate(self.classes)}
        columns |= {f"p_{c}": p[:, k] for k, c in enumerate(self.classes)}  # as exact as what the sets were made of
        columns["set"] = set_column(self.classes, p > self.alpha)
        columns["ood_p"] = pooled_p_values([self.ranks[g] for g in against], [novelty[f] for f, _ in pairs], weight)
        if all(THRESHOLD in objects.own for objects in evidence.values()):
            of_first = np.mean([objects.own[THRESHOLD] for objects in evidence.values()], axis=0, dtype=np.float64)
            pair = np.column_stack([of_first, 1 - of_first])
            columns[THRESHOLD] = scale(logits_of(pair), self.scale)[:, 0].astype(np.float32)
        return columns

    def finish(self, predictions: pa.Table) -> pa.Table:
        """`ood_flag` at the false-discovery rate of the whole table, and the probability of belonging to no known class.

        Beside PLAsTiCC's target numbers that probability is `prob_99`, and the known classes make room for it: the rows are the
        contest's and sum to 1. Elsewhere it is `unknown_probability`, and the known classes alone sum to 1.
        """
        p = predictions["ood_p"].to_numpy()
        flag = self._said(lambda: benjamini_hochberg(p, self.fdr, int(self.mass), adaptive=True))
        unknown = unknown_probability(p) if len(p) >= MIN_OBJECTS else np.zeros(len(p))
        name = unknown_column(self.classes)
        if name.startswith("prob_"):
            known = [f"prob_{c}" for c in self.classes]
            rows = contest_prob(np.column_stack([predictions[c].to_numpy() for c in known]), unknown)
            for k, column in enumerate(known):
                values = pa.array(rows[:, k].astype(np.float32))
                predictions = predictions.set_column(predictions.column_names.index(column), column, values)
        return predictions.append_column("ood_flag", pa.array(flag)).append_column(name, pa.array(unknown))

    def score(self, predictions: pa.Table) -> dict[str, float]:
        """Coverage, set sizes and, where the test holds unknown kinds, their separation and the false discoveries."""
        found = summary(predictions, self.classes) | {
            "conformal_calibration_objects": float(sum(r.n for r in self.ranks))
        }
        if self.ratio is not None:
            found["conformal_effective_size"] = self.mass**2 / sum((r.weight**2).sum() for r in self.ranks)
        return found

    @property
    def mass(self) -> float:
        """Weight of all calibration objects: their number where there is no covariate shift."""
        return float(sum(r.above[0] for r in self.ranks))

    def state(self) -> dict[str, Any]:
        """Plain scalars, lists and arrays, for a checkpoint."""
        names = (
            "classes",
            "alpha",
            "fdr",
            "temperature",
            "scores",
            "n_component",
            "shift",
            "clip",
            "scale",
            "covariates",
        )
        parts = {n: [part.state() for part in getattr(self, n)] for n in ("models", "combinations", "ranks")}
        ratio = self.ratio.state() if self.ratio else None
        return {n: getattr(self, n) for n in names} | parts | {"conformal": self.conformal.state(), "ratio": ratio}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Calibrator":
        """Inverse of `state`."""
        names = ("classes", "alpha", "fdr", "temperature", "scores", "n_component", "shift", "clip")
        new = cls(**{n: state[n] for n in names})
        new.scale, new.covariates = state["scale"], state["covariates"]
        new.models = [NoveltyModel.from_state(s) for s in state["models"]]
        new.combinations = [RankCombination.from_state(s) for s in state["combinations"]]
        new.ranks = [Ranks.from_state(s) for s in state["ranks"]]
        new.conformal = CrossConformal.from_state(state["conformal"])
        new.ratio = DensityRatio.from_state(state["ratio"]) if state["ratio"] else None
        return new

    def _probability(self, objects: Evidence) -> NDArray[np.float64]:
        return scale(logits_of(objects.probability), self.scale)

    def _covariates(self, objects: Evidence) -> np.ndarray:
        assert objects.embedding is not None
        return objects.embedding[:, self.covariates]

    def _weigh(self, held: Sequence[Evidence], names: Sequence[str], survey: Evidence | None) -> list[np.ndarray]:
        patterns = self.shift or []
        self.covariates = [i for i, name in enumerate(names) if any(fnmatch.fnmatch(name, p) for p in patterns)]
        if not self.covariates or survey is None:
            raise BadInput(f"task.calibrator.shift={list(patterns)} names none of the features, or there is no survey")
        self.ratio = DensityRatio(self.clip)
        weight = self.ratio.fit(np.concatenate([self._covariates(e) for e in held]), self._covariates(survey))
        return np.split(weight, np.cumsum([len(e.label) for e in held])[:-1])

    @staticmethod
    def _said(work: Any) -> Any:
        """Do the work; its warnings go where a user of the command line reads them."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            result = work()
        for warning in caught:
            log.warning("%s", warning.message)
        return result
