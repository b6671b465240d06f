"""From the command line to a plain configuration and a run folder."""

import os
import re
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from astro_lightning.core.build import plain
from astro_lightning.core.conf import conf_folder, plugin_folders
from astro_lightning.core.values import check_kinds, check_left_out
from astro_lightning.data.errors import PLACE, BadInput
from astro_lightning.sweeper import register
from astro_lightning.typos import check_form, meant

PLACES = ("data.root", "paths.cache")  # what may differ where a run goes on: not what it is, but where files lie


class InstalledConf(SearchPathPlugin):
    """Puts the configuration folders of installed plug-ins on the search path."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append each plug-in's folder; the project's own configurations come first."""
        for name, folder in plugin_folders().items():
            search_path.append(provider=name, path=f"file://{folder}")


def run_name() -> str:
    """Name of a run folder: the same for all ranks of one launch, and for the worker processes of one sweep.

    srun and torchrun start all ranks at once; their launch has a number, or else one parent process whose start time serves.
    """
    return os.environ.setdefault("ASTRO_LIGHTNING_RUN", _new_name())


def _new_name() -> str:
    tasks = os.environ.get("SLURM_STEP_NUM_TASKS", os.environ.get("SLURM_NTASKS", "1"))
    if os.environ.get("SLURM_JOB_ID") and "SLURM_PROCID" in os.environ and tasks != "1":
        return f"slurm-{os.environ['SLURM_JOB_ID']}-{os.environ.get('SLURM_STEP_ID', '0')}"
    if "LOCAL_RANK" in os.environ:
        launch = os.environ.get("TORCHELASTIC_RUN_ID", "none")
        if launch != "none":
            return f"torchrun-{launch}"
        import psutil

        parent = psutil.Process(os.getppid())
        return time.strftime("%Y%m%d-%H%M%S", time.localtime(parent.create_time())) + f"-{parent.pid}"
    return time.strftime("%Y%m%d-%H%M%S") + f"-{os.getpid()}"


# At import, so that the workers of a launcher have it too: they import this module and no more.
OmegaConf.register_new_resolver("run_name", run_name, replace=True)


def hydra_main() -> None:
    """Compose with Hydra and run; a sweep runs each of its jobs."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    Plugins.instance().register(InstalledConf)
    register()
    from astro_lightning.report.sweep import failures

    failures.clear()  # of an earlier command of this process
    check_form(sys.argv[1:])
    with refusals(sys.argv[1:]):
        hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="config")(job)()
    # --cfg leaves its own, and a later run of Python would be said to be that command's
    HydraConfig.instance().cfg = None
    if failures:
        raise BadInput(failures[0] if len(failures) == 1 else f"{len(failures)} jobs failed; the first: {failures[0]}")


def composed(*words: str) -> dict[str, Any]:
    """What the command line composes from these words, for `run.run` and for what `core.stages` makes of a configuration.

    Args:
        words: As typed, `task=spectra`, `trainer.max_epochs=2`.

    Returns:
        The configuration in plain containers.

    Raises:
        BadInput: A word names nothing that is there, or its value is of another kind than the one it replaces.
    """
    Plugins.instance().register(InstalledConf)
    with refusals(words), hydra.initialize_config_dir(str(conf_folder()), version_base="1.3"):
        cfg = hydra.compose("config", list(words), return_hydra_config=True)
        settings = plain(OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"]))
        check_overrides(settings, cfg.hydra)
    return settings


@contextmanager
def refusals(words: Sequence[str]) -> Iterator[None]:
    """What Hydra says against these words, in one line.

    Raises:
        BadInput: It says something.
    """
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        parts = [str(error), str(error.__cause__ or "")]
        message = " ".join(" ".join(dict.fromkeys(part for part in parts if part)).split())
        raise BadInput(f"{meant(message) or message or type(error).__name__} (see `astro-lightning --help`)") from error
    except ValueError as error:
        if str(error).startswith("Only one of --run"):
            raise BadInput("--cfg and --info show one configuration: leave -m and the values of a sweep out") from error
        if not str(error).startswith("Config group override"):
            raise
        numbers = [
            word
            for word in words
            if re.fullmatch(r"\w+=([\d.]+|null|true|false)", word) and (conf_folder() / word.split("=")[0]).is_dir()
        ]
        raise BadInput(
            f"{' '.join(numbers)}: type the name of a configuration (see `astro-lightning --help`)"
        ) from error


def job(cfg: DictConfig) -> dict[str, float]:
    """One job: what Hydra calls, here or in a launcher's worker. A sweep goes on after a job that cannot run."""
    from astro_lightning.core.provenance import asked, read_kept, write_json, write_text
    from astro_lightning.report.sweep import failures
    from astro_lightning.run import run

    folder = Path(HydraConfig.get().runtime.output_dir)
    try:
        (folder / "error.txt").unlink(missing_ok=True)  # of an earlier attempt in this folder
        settings = plain(cfg)
        check_overrides(settings, HydraConfig.get())
        if HydraConfig.get().mode == RunMode.MULTIRUN and (folder / "config.yaml").is_file():
            begun = read_kept(folder / "job.json")
            if begun["command"] == asked()["command"]:  # a sweep that was stopped, given again
                return begun if begun.get("finished") else run(read_kept(folder / "config.yaml"), folder, resuming=True)
        return run(settings, folder)
    except BrokenPipeError:
        raise
    except BadInput as error:
        message = str(error)
    except OSError as error:
        message = f"{error}: {PLACE}"
    except Exception as error:
        if HydraConfig.get().mode != RunMode.MULTIRUN:
            raise
        traceback.print_exc()
        message = f"{type(error).__name__}: {error}"
    failures.append(message)
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        with suppress(OSError):  # the message may be that nothing can be written there
            folder.mkdir(parents=True, exist_ok=True)
            write_text(folder / "error.txt", f"{message}\n")
            if not (folder / "job.json").exists():  # the table says of which values it was
                write_json(folder / "job.json", asked())
    return {"objective": float("nan")}


def check_overrides(settings: dict[str, Any], about: Any) -> None:
    """Whether each value that somebody set is of the kind of the value it replaces, and none that they took out is needed.

    Args:
        settings: The configuration.
        about: Its block `hydra`, which knows what was set.

    Raises:
        BadInput: One is not, or is.
    """
    chosen, overrides = about.runtime.choices, about.overrides.task
    keys = [word.partition("=")[0] for word in overrides]
    check_left_out(keys)
    groups = [word for key, word in zip(keys, overrides, strict=True) if key.lstrip("+") in chosen]
    if len(groups) < len(overrides):
        usual = hydra.compose(about.job.config_name, groups)
        check_kinds(settings, OmegaConf.to_container(usual, resolve=True), keys)  # type: ignore[arg-type]


def resume(words: list[str]) -> None:
    """Go on with a run exactly where it stopped; also how each further rank of a run starts.

    Args:
        words: `resume=RUN_FOLDER`, and where the survey's files or their cache lie now, if they were moved.

    Raises:
        BadInput: It is no run folder, or another setting was typed.
    """
    import logging

    from astro_lightning.core.provenance import read_kept, write_text
    from astro_lightning.run import run

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folder = Path(words[0].removeprefix("resume=")).expanduser().resolve()
    if not (folder / "config.yaml").is_file():
        raise BadInput(f"{folder} is not a run folder: config.yaml is missing")
    cfg = read_kept(folder / "config.yaml")
    for word in words[1:]:
        place, _, value = word.partition("=")
        if place not in PLACES or not value:
            raise BadInput(
                f"resume= takes no other setting ({word}) than {' and '.join(f'{name}=FOLDER' for name in PLACES)}: "
                "a resumed run keeps its own; start a new run to change one"
            )
        block, key = place.split(".")
        cfg[block][key] = str(Path(value).expanduser().absolute())
    if read_kept(folder / "job.json").get("finished"):
        print(f"this run is finished: {folder}")
        return
    if len(words) > 1:  # the further ranks read it there
        write_text(folder / "config.yaml", yaml.safe_dump(cfg, sort_keys=False))
    run(cfg, folder, resuming=True)
