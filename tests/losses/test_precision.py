import torch

from cordlesion.losses.precision import in_float32


@in_float32
def inner_product(logits, lesion):
    """A loss whose operation autocast would turn into bfloat16."""
    return (logits.flatten(1) @ lesion.flatten(1).T).trace()


def test_autocast_is_off_inside():
    logits, lesion = torch.full((2, 1, 3), 1.001), torch.ones((2, 1, 3))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (logits.flatten(1) @ lesion.flatten(1).T).dtype == torch.bfloat16
        value = inner_product(logits, lesion)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value.item(), 6.006)


def test_float64_stays():
    assert inner_product(torch.ones((2, 1, 3), dtype=torch.float64), torch.ones((2, 1, 3))).dtype == torch.float64
