import torch

from astro_lightning.methods.kernel_ridge import KernelRidge


def data(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(n, 5, generator=torch.Generator().manual_seed(seed))
    return x, (x[:, 0] * x[:, 1] > 0).long()


def test_learns_what_no_straight_line_can():
    (x, y), (unseen, truth) = data(400, 0), data(200, 1)
    ridge = KernelRidge([2, 3])
    ridge.fit(x, y)
    assert (ridge(unseen).argmax(1) == truth).float().mean() > 0.85


def test_a_sum_of_kernels_is_a_sum_of_functions_of_the_blocks():
    x, y = data(100, 0)
    ridge = KernelRidge([2, 3])
    ridge.fit(x, y)

    def logit(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return ridge(torch.cat([a, b], 1))[:, 1]

    a, b, c, d = x[:5, :2], x[5:10, :2], x[:5, 2:], x[5:10, 2:]
    torch.testing.assert_close(logit(a, c) - logit(b, c), logit(a, d) - logit(b, d), atol=1e-4, rtol=1e-3)


def test_the_solution_travels_in_the_state_dict():
    x, y = data(50, 0)
    ridge, other = KernelRidge([5]), KernelRidge([5])
    assert ridge(x).abs().sum() == 0
    ridge.fit(x, y)
    other.load_state_dict(ridge.state_dict())
    assert torch.equal(ridge(x), other(x))
