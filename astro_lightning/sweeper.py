"""A search with Optuna's TPE for Hydra's -m: asks for values, runs a batch of jobs, tells their objective; kept in a file.

Written here because the published sweeper plug-in is pinned to Optuna 2, while ask and tell need forty lines.
"""

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from astro_lightning.data.errors import BadInput

log = logging.getLogger(__name__)


class OptunaSweeper(Sweeper):
    """Searches the values of a sweep with TPE (Bergstra et al. 2011) for the best validation metric of the last stage.

    Args:
        n_trials: Jobs in all, those of earlier starts of the same study included.
        n_jobs: Jobs started together (with a parallel launcher).
        storage: File of the study; the same file goes on with it. None = `study.db` in the sweep's folder.
        seed: Of the sampler.
        direction: `minimize` or `maximize`; None = as the last stage's `mode` says.
    """

    config: DictConfig
    launcher: Launcher

    def __init__(self, n_trials: int, n_jobs: int, storage: str | None, seed: int, direction: str | None) -> None:
        self.n_trials, self.n_jobs, self.storage, self.seed, self.direction = n_trials, n_jobs, storage, seed, direction

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Make the launcher."""
        self.config, self.config_loader = config, hydra_context.config_loader
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run the search.

        Raises:
            BadInput: Optuna is not installed, no value is to be searched, or one cannot be, or a setting of the search is none.
        """
        for name in ("n_trials", "n_jobs"):
            number = getattr(self, name)
            if type(number) is not int or number < 1:
                raise BadInput(f"hydra.sweeper.{name}={number}: give a whole number from 1 on")
        if self.direction not in (None, "minimize", "maximize"):
            raise BadInput(f"hydra.sweeper.direction={self.direction}: give minimize, maximize or null")
        try:
            import optuna
            from optuna.study import StudyDirection
        except ImportError as error:
            raise BadInput("sweep=optuna needs a further package: pip install 'astro-lightning[sweep]'") from error
        parsed = OverridesParser.create().parse_overrides(arguments)
        fixed = [word for word, override in zip(arguments, parsed, strict=True) if not override.is_sweep_override()]
        searched = {override.get_key_element(): override for override in parsed if override.is_sweep_override()}
        if not searched:
            raise BadInput(
                "sweep=optuna has nothing to search: give for example 'optimizer.lr=tag(log,interval(1e-4,1e-2))'"
            )
        space = {key: _distribution(override) for key, override in searched.items()}
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        file = Path(self.storage or folder / "study.db").expanduser().resolve()
        direction = self.direction or ("maximize" if self._mode() == "max" else "minimize")
        study = optuna.create_study(
            study_name="sweep",
            storage=f"sqlite:///{file}",
            direction=StudyDirection[direction.upper()],
            load_if_exists=True,
        )
        if study.direction.name.lower() != direction:  # Optuna would go on with the file's
            raise BadInput(
                f"{file} is a study to {study.direction.name.lower()}, not to {direction}: give another file"
            )
        done = sum(trial.state.is_finished() for trial in study.trials)
        first = len(study.trials)
        study.sampler = optuna.samplers.TPESampler(seed=self.seed + first)  # not the first random values once more
        log.info("study with %d finished trials; %d to go", done, max(0, self.n_trials - done))
        while done < self.n_trials:
            try:
                trials = [study.ask(space) for _ in range(min(self.n_jobs, self.n_trials - done))]
            except ValueError as error:  # other choices than before
                raise BadInput(f"{file} holds a search over other values ({error}): give another file") from error
            jobs = [[*fixed, *(f"{key}={_typed(value)}" for key, value in trial.params.items())] for trial in trials]
            self.validate_batch_is_legal(jobs)
            returned = self.launcher.launch(jobs, initial_job_idx=first)
            for trial, result in zip(trials, returned, strict=True):
                value = result.return_value.get("objective", float("nan"))
                failed = value != value  # NaN: the job could not run
                study.tell(trial, None if failed else value, state=optuna.trial.TrialState.FAIL if failed else None)
            done, first = done + len(trials), first + len(trials)
        if any(trial.state == optuna.trial.TrialState.COMPLETE for trial in study.trials):
            log.info("best %.5g with %s", study.best_value, study.best_params)

    def _mode(self) -> str:
        from astro_lightning.core.build import plain
        from astro_lightning.core.stages import sought, stages_of

        own = OmegaConf.masked_copy(self.config, [str(key) for key in self.config if key != "hydra"])
        return sought(stages_of(plain(own)))[1]


def _distribution(override: Override) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value = override.value()
    if isinstance(value, ChoiceSweep):
        return CategoricalDistribution([_choice(element) for element in value.list])
    if isinstance(value, IntervalSweep):
        whole = isinstance(value.start, int) and isinstance(value.end, int)
        kind: Callable[..., Any] = IntDistribution if whole else FloatDistribution
        try:
            return kind(value.start, value.end, log="log" in value.tags)
        except ValueError as error:  # the ends the wrong way round, a logarithm of zero
            raise BadInput(f"{override.input_line}: {error}") from error
    if isinstance(value, RangeSweep):
        return CategoricalDistribution(list(value.range()))
    raise BadInput(f"{override.input_line}: give choices a,b or interval(low,high)")


def _choice(element: Any) -> Any:
    if element is None or isinstance(element, int | float | bool):
        return element
    return Override._get_value_element_as_str(element)  # lists, dicts and quoted text as they were typed


def _typed(value: Any) -> str:
    """A value as one types it."""
    return "null" if value is None else str(value)


def register() -> None:
    """Make the sweeper known to Hydra as `hydra/sweeper=tpe`."""
    # Hydra accepts a plug-in only under the package name hydra_plugins, which would need a top-level folder of its own.
    try:
        import hydra_plugins  # type: ignore[import-not-found]
    except ImportError:
        hydra_plugins = sys.modules["hydra_plugins"] = ModuleType("hydra_plugins")
    hydra_plugins.astro_lightning = sys.modules["hydra_plugins.astro_lightning"] = sys.modules[__name__]
    OptunaSweeper.__module__ = "hydra_plugins.astro_lightning"
    Plugins.instance().register(OptunaSweeper)
    ConfigStore.instance().store(
        group="hydra/sweeper",
        name="tpe",
        node={
            "_target_": "hydra_plugins.astro_lightning.OptunaSweeper",
            "n_trials": 20,
            "n_jobs": 1,
            "storage": None,
            "seed": 0,
            "direction": None,
        },
        provider="astro_lightning",
    )
