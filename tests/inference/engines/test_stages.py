"""Stages feed each other in order, end together, and hand on what goes wrong."""

import threading
import time

import pytest
import torch

from fissura.inference.engines.stages import Stages


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = threading.active_count()
    yield
    assert threading.active_count() == before
    assert torch.get_num_threads() == 1


def doubled(items, seen=None):
    for item in items:
        if seen is not None:
            seen.append(threading.current_thread())
        yield 2 * item


@pytest.mark.parametrize("count", [1, 2, 5])
def test_items_come_in_order_through_all_stages(count):
    seen = []
    with Stages(count) as stages:
        items = iter(range(50))
        for _ in range(4):
            items = stages.ahead(doubled(items, seen))
        assert list(items) == [16 * i for i in range(50)]
    assert len(set(seen)) == (1 if count == 1 else 4)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_no_more_stages_compute_than_were_asked_for(count):
    now, most, lock = 0, 0, threading.Lock()

    def work(items):
        nonlocal now, most
        for item in items:
            with lock:
                now += 1
                most = max(most, now)
            time.sleep(0.001)
            with lock:
                now -= 1
            yield item

    with Stages(count) as stages:
        items = iter(range(20))
        for _ in range(6):
            items = stages.ahead(work(items))
        assert len(list(items)) == 20
    assert most <= count


@pytest.mark.parametrize("count", [1, 3])
def test_an_error_comes_in_its_turn(count):
    def failing():
        yield 1
        yield 2
        raise KeyError("third")

    found = []

    def take():
        with Stages(count) as stages:
            found.extend(stages.ahead(doubled(stages.ahead(doubled(failing())))))

    with pytest.raises(KeyError, match="third"):
        take()
    assert found == [] or found == [4, 8]


def test_stages_end_where_nobody_wants_more():
    def endless():
        number = 0
        while True:
            yield number
            number += 1

    with Stages(3) as stages:
        items = stages.ahead(doubled(stages.ahead(doubled(endless()))))
        assert [next(items) for _ in range(3)] == [0, 4, 8]


@pytest.mark.parametrize("count", [1, 4])
def test_map_keeps_the_order_and_takes_little_in_advance(count):
    taken = []

    def items():
        for i in range(100):
            taken.append(i)
            yield i

    with Stages(count) as stages:
        values = stages.map(lambda i: i * i, items())
        assert next(values) == 0
        assert len(taken) <= count + 1
        assert list(values) == [i * i for i in range(1, 100)]


def test_each_stage_has_one_thread_inside_torch():
    threads = []

    def ask(items):
        for item in items:
            threads.append(torch.get_num_threads())
            yield item

    torch.set_num_threads(3)
    try:
        with Stages(2) as stages:
            list(stages.ahead(ask(iter(range(3)))))
            list(stages.map(lambda _: threads.append(torch.get_num_threads()), range(3)))
        assert set(threads) == {1}
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(1)
