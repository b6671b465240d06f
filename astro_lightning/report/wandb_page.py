"""A page of Weights & Biases as code: the panels of `report.html`, over all runs of a project.

W&B has no way to keep a page's layout with a run; it is saved to a project once, and shows whichever runs are selected there.
"""

import json
from pathlib import Path
from typing import Any

from astro_lightning.core.provenance import write_json
from astro_lightning.data.errors import BadInput
from astro_lightning.report.plots import write_plots
from astro_lightning.report.run_folder import RunFolder, read_run
from astro_lightning.report.wording import METRIC_NAMES, metric_name, of_class

# Of the report's metrics those that a row of single numbers shows.
_TILES = 8


def page(run: RunFolder, entity: str, project: str) -> Any:
    """The workspace for the task of a finished run: its test metrics, pictures, charts and learning curves.

    Args:
        run: A run whose report was written.
        entity: W&B user or team.
        project: W&B project.
    """
    import wandb_workspaces.reports.v2 as panels
    import wandb_workspaces.workspaces as workspaces

    tests = [key for key in run.metrics if key.startswith("test/")]
    classes = run.scores.classes if run.scores else ()
    first = [key for name in METRIC_NAMES if (key := f"test/{name}") in tests]
    first += [key for key in tests if key not in first and key != "test/n" and not of_class(key, classes)]
    sections: dict[str, list[Any]] = {
        "Test": [panels.BarPlot(title=metric_name(key), metrics=[key]) for key in first[:_TILES]],
        "By class": [panels.BarPlot(title=f"F1 of {name}", metrics=[f"test/f1_{name}"]) for name in classes],
        "Pictures": [
            panels.MediaBrowser(title=picture.title, media_keys=[f"plots/{picture.name}"])
            for picture in write_plots(run)
        ],
        "Charts": [panels.MediaBrowser(title="Model card", media_keys=["model_card"])],
    }
    for stage, logged in run.learning.items():
        names = [c for c in logged.columns if c.startswith(("train/", "val/")) and not c.endswith("_epoch")]
        metrics = list(dict.fromkeys(name.split("/", 1)[1].removesuffix("_step") for name in names))
        sections[f"Learning curves: {stage}"] = [
            panels.LinePlot(
                title=metric.replace("_", " "),
                y=[f"{stage}/{name}" for name in names if name.split("/", 1)[1].removesuffix("_step") == metric],
            )
            for metric in metrics
        ]
    shown = [
        workspaces.Section(name=name, panels=content, is_open=name in ("Test", "Pictures"))
        for name, content in sections.items()
        if content
    ]
    title = f"{run.setting('task', 'title') or run.task}"
    return workspaces.Workspace(entity=entity, project=project, name=title, sections=shown)


def write_page(folder: Path) -> Path:
    """Write the page as W&B keeps it, `wandb_page.json`, into a run folder; needs no account."""
    made = page(read_run(folder), "entity", "project")
    path = folder / "wandb_page.json"
    write_json(path, json.loads(made._to_model().model_dump_json(by_alias=True, exclude_none=True)))
    return path


def save_page(folder: Path, where: str) -> str:
    """Save the page to a project.

    Args:
        folder: A finished run of the task.
        where: `entity/project`.

    Returns:
        Its address.

    Raises:
        BadInput: `where` is of another form.
    """
    entity, _, project = where.partition("/")
    if not entity or not project or "/" in project:
        raise BadInput(f"{where!r}: give ENTITY/PROJECT, as in the address of the project")
    return page(read_run(folder), entity, project).save().url
