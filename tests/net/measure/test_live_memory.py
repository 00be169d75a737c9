import torch

from powerqe.net.measure.live_memory import LiveMemory


def test_live_memory_is_the_largest_sum_of_what_lives_at_once():
    with LiveMemory() as live:
        a = torch.zeros(1000)  # 4000 bytes
        b = a + 1
        del a
        c = b.view(10, 100) * 2  # a view is no new memory
        del b, c
        torch.zeros(10)
    assert live.peak == 8000
