import pytest
import torch

from astro_lightning.core.optim import make_optimizer, make_schedule, settings
from astro_lightning.core.task import TaskModule, class_weights
from astro_lightning.data.errors import BadInput


def rates(chosen, steps=100, per_epoch=10):
    optimizer = make_optimizer([{"params": [torch.nn.Parameter(torch.zeros(1))]}], chosen)
    schedule = make_schedule(optimizer, chosen, steps, per_epoch)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_cosine_warms_up_and_ends_near_zero():
    found = rates({"lr": 1.0, "schedule": "cosine", "warmup_fraction": 0.1})
    assert found[0] == pytest.approx(0.1) and max(found) == found[9] == 1.0 and found[-1] < 0.01


def test_step_drops_by_the_factor():
    found = rates({"lr": 1.0, "schedule": "step", "warmup_fraction": 0, "step_epochs": 4, "factor": 0.1})
    assert found[39] == 1.0 and found[40] == pytest.approx(0.1) and found[80] == pytest.approx(0.01)


def test_scale_of_a_group_multiplies_its_rate():
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = make_optimizer([{"params": [parameter], "scale": 0.5}], {"lr": 0.2})
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1)


@pytest.mark.parametrize("chosen", [{"learning_rate": 1}, {"name": "lion"}, {"schedule": "cosin"}])
def test_unknown_settings_are_refused(chosen):
    with pytest.raises(BadInput, match=r"choose|is not a setting"):
        rates(chosen)


def test_none_means_the_default():
    assert settings({"lr": None})["lr"] == settings({})["lr"]


@pytest.mark.parametrize(
    ("mode", "values", "dropped"),
    [
        ("min", [3, 2, 1, 1, 1], True),
        ("min", [5, 4, 3, 2, 1], False),
        ("max", [1, 2, 3, 3, 3], True),
        ("max", [1, 2, 3, 4, 5], False),
    ],
)
def test_plateau_lowers_the_rate_only_without_progress_in_the_right_direction(mode, values, dropped):
    class Schedule:
        base_lrs = (1.0,)

    class Fake:
        hparams = {"optimizer": {"schedule": "plateau", "patience": 1, "factor": 0.1}, "monitor": "val/x", "mode": mode}  # noqa: RUF012
        _best, _epochs_without_progress = None, 0
        schedule = Schedule()

        class trainer:
            callback_metrics = {}  # noqa: RUF012

        def lr_schedulers(self):
            return self.schedule

    module = Fake()
    for value in values:
        module.trainer.callback_metrics["val/x"] = torch.tensor(float(value))
        TaskModule.on_train_epoch_end(module)
    assert (module.schedule.base_lrs[0] < 1) == dropped


def test_the_step_schedule_counts_epochs_however_the_training_is_bounded():
    class Fake:
        hparams = {"optimizer": {"lr": 1.0, "schedule": "step", "step_epochs": 2, "factor": 0.1, "warmup_fraction": 0}}  # noqa: RUF012
        weight = torch.nn.Parameter(torch.zeros(1))

        class trainer:
            num_training_batches, accumulate_grad_batches = 199, 2
            estimated_stepping_batches, max_epochs = 500, -1  # by max_steps

        def groups(self):
            return [{"params": [self.weight]}]

    (factor,) = TaskModule.configure_optimizers(Fake())["lr_scheduler"]["scheduler"].lr_lambdas
    assert [factor(step) for step in (0, 199, 200, 399, 400)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])


def test_weights_of_classes_are_one_on_average_over_the_objects():
    assert class_weights([30, 10, 0]).tolist() == pytest.approx([2 / 3, 2, 0])
    assert class_weights([30, 10], power=0.0).tolist() == [1, 1]


def module(**chosen):
    made = TaskModule(model={}, optimizer=chosen, info={"classes": ["a", "b"]})
    made.network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LayerNorm(4), torch.nn.Linear(4, 2))
    return made


def test_weights_decay_and_neither_biases_nor_norms():
    made = module()
    for parameter in made.parameters():
        torch.nn.init.ones_(parameter)
        parameter.grad = torch.zeros_like(parameter)
    make_optimizer(made.groups(), {"lr": 0.1, "weight_decay": 0.5}).step()
    decayed = {name for name, value in made.named_parameters() if value.max() < 1}
    assert decayed == {"network.0.weight", "network.2.weight"}
    assert made.network[0].weight.max().item() == pytest.approx(1 - 0.1 * 0.5)


def test_a_resumed_plateau_remembers_its_best_and_how_long_it_waited():
    before, after, checkpoint = module(schedule="plateau"), module(schedule="plateau"), {}
    before._best, before._epochs_without_progress = 0.25, 3
    before.on_save_checkpoint(checkpoint)
    after.on_load_checkpoint(checkpoint)
    assert (after._best, after._epochs_without_progress) == (0.25, 3)
