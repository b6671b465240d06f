"""Every command that a page shows composes, or is there; those that need what a test has not say so in their block's first line."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from astro_lightning import cli
from astro_lightning.compose import plain
from astro_lightning.core.conf import conf_folder
from astro_lightning.core.stages import stages_of

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "astro_lightning" / "tasks").glob("*/README.md")),
]
NEEDS = re.compile(
    r"# needs (a cluster|a GPU|the internet|the survey's files|an account|a broker|several devices|LSDB)"
)
# Run as they are.
CHEAP = ("astro-lightning tasks", "astro-lightning datasets", "python -m astro_lightning --help")
START = ("python -m astro_lightning", "astro-lightning", "torchrun", "srun")
# Beside ours; what a page shows of the shell itself.
SHELL = ("export", "cd", "eval", "pip")
# A page that is followed to the letter by a test of its own, with tasks of its own.
OWN_TEST = {"add-a-task.md", "own-survey.md"}


def blocks(page):
    """Shell blocks of a page, as (marker, lines): fenced ones, commands indented by four, and commands within a line."""
    text = page.read_text()
    for body in re.findall(r"^```(?:sh|bash)\n(.*?)^```", text, flags=re.M | re.S):
        first = body.splitlines()[0]
        lines = re.sub(r"\\\n\s*", "", body).splitlines()
        yield bool(NEEDS.match(first)), [line for line in lines if line.strip() and not line.startswith("#")]
    rest = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    yield False, [line.strip() for line in rest.splitlines() if line.startswith(tuple(f"    {s}" for s in START))]
    spoken = [code for code in re.findall(r"`([^`\n]+)`", rest) if code.startswith((f"{START[0]} ", f"{START[1]} "))]
    yield False, [code for code in spoken if not code.endswith("=")]  # the head of a table's column


def shown():
    found = {}
    for page in PAGES:
        if page.name not in OWN_TEST:
            for marked, lines in blocks(page):
                for line in lines:
                    found.setdefault(line, (page, marked))
    return [(line, page, marked) for line, (page, marked) in found.items()]


@pytest.fixture(scope="module")
def hydra_with_plugins():
    from astro_lightning.sweeper import register

    register()
    OmegaConf.register_new_resolver("run_name", lambda: "test", replace=True)
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        yield
    GlobalHydra.instance().clear()


def first_choice(word):
    """A sweep's first value: what its first job composes."""
    override = OverridesParser.create().parse_overrides([word])[0]
    if not override.is_sweep_override():
        return word
    if override.is_choice_sweep() and not override.is_interval_sweep():
        return f"{override.get_key_element()}={next(override.sweep_string_iterator())}"
    return None


def check_run(words):
    """A run's settings compose into stages, whatever it would read."""
    settings = [word for word in words if "=" in word and not word.startswith("-")]
    others = [word for word in words if word not in settings]
    assert set(others) <= {"-m", "--cfg", "job", "--help", "-h"}, others
    if settings and settings[0].startswith("resume="):
        assert len(settings) == 1
        return
    # Hydra itself is configured by the command line alone.
    chosen = [first_choice(word) for word in settings if not word.startswith(("hydra", "sweep="))]
    cfg = plain(compose("config", [word for word in chosen if word]))
    assert stages_of(cfg)


def test_the_commands_of_every_page_compose(hydra_with_plugins):
    wrong = []
    one_by_one = ((part, page, marked) for line, page, marked in shown() for part in line.split(" && "))
    for line, page, marked in one_by_one:
        try:
            words = [w for w in shlex.split(line, comments=True) if not re.fullmatch(r"[A-Z_]+=\S*", w)]
            if not words:
                continue
            check(words, marked)
        except Exception as error:
            wrong.append(f"{page.relative_to(ROOT)}: {line}: {type(error).__name__} {str(error).splitlines()[0]}")
    assert not wrong, "\n".join(wrong)


def check(words, marked):
    if words[0] == "make":
        targets = [word for word in words[1:] if "=" not in word]
        assert all(f"\n{target}:" in (ROOT / "Makefile").read_text() for target in targets)
    elif words[:3] == ["python", "-m", "astro_lightning"] or words[0] == "astro-lightning":
        rest = words[3:] if words[0] == "python" else words[1:]
        if rest and rest[0].isidentifier():
            assert rest[0] in cli.names(), f"no verb {rest[0]}"
        else:
            check_run(rest)
    elif words[:2] == ["python", "-m"]:
        module = words[2]
        assert module in ("pip", "pytest") or importlib.util.find_spec(module), f"no module {module}"
    elif words[0] == "python":
        assert (ROOT / words[1]).is_file(), f"no file {words[1]}"
    elif words[0] not in SHELL:
        assert marked, f"{words[0]} is no command of ours: say what it needs in the block's first line (# needs ...)"


@pytest.mark.parametrize("line", CHEAP)
def test_cheap_commands_run(line, capsys):
    assert line in {shown_line for shown_line, _, _ in shown()}
    from astro_lightning.__main__ import main

    main(shlex.split(line)[1 if line.startswith("astro") else 3 :])
    assert len(capsys.readouterr().out.splitlines()) > 5


def test_a_wrong_command_is_found(hydra_with_plugins):
    with pytest.raises(Exception, match="optimizer"):
        check(shlex.split("python -m astro_lightning optimizer.learning=1"), False)
    with pytest.raises(AssertionError, match="no verb"):
        check(["astro-lightning", "predikt", "FILE"], False)
    with pytest.raises(AssertionError, match="needs"):
        check(["sbatch", "run.sh"], False)
