import torch
from same import assert_same_bits

from blemish.inversion.adam import Adam


def test_it_steps_as_pytorchs_does_to_the_bit() -> None:
    rng = torch.Generator().manual_seed(0)
    begun = [torch.randn(size, generator=rng) for size in ((3,), (2, 5), (1, 3, 4, 4))]
    mine, theirs = ([p.clone().requires_grad_() for p in begun] for _ in range(2))
    adam, known = Adam(mine), torch.optim.Adam(theirs)
    for step in range(50):
        rate = 0.1 / (1 + step)
        gradients = [torch.randn(p.shape, generator=rng) * 10**-step for p in mine]
        adam.step(gradients, rate)
        for parameter, gradient in zip(theirs, gradients, strict=True):
            parameter.grad = gradient
        known.param_groups[0]["lr"] = rate
        known.step()
    assert_same_bits(*({str(k): p.detach() for k, p in enumerate(ps)} for ps in (mine, theirs)))
