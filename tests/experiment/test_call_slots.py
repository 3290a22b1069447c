import asyncio
import random

from babyai_kit.experiment.call_slots import CallSlots


async def test_never_more_holders_than_the_limit_and_all_are_served():
    slots, peak, served = CallSlots(3), 0, 0

    async def work(i: int) -> None:
        nonlocal peak, served
        async with slots.hold(i % 5):
            peak = max(peak, slots.in_use)
            await asyncio.sleep(0.001 * random.random())
            served += 1

    await asyncio.gather(*(work(i) for i in range(100)))
    assert (peak, served, slots.in_use) == (3, 100, 0)


async def test_the_most_urgent_waiter_goes_first_and_equals_in_order():
    slots, order = CallSlots(1), []

    async def work(name: str, urgency: int) -> None:
        async with slots.hold(urgency):
            order.append(name)

    async with slots.hold(0):
        tasks = [asyncio.create_task(work(*w)) for w in [("a", 1), ("b", 9), ("c", 1), ("d", 9)]]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert order == ["b", "d", "a", "c"]


async def test_cancelled_waiters_leak_no_slot():
    slots = CallSlots(2)

    async def work() -> None:
        async with slots.hold(1):
            await asyncio.sleep(0.002)

    for _ in range(20):
        tasks = [asyncio.create_task(work()) for _ in range(20)]
        await asyncio.sleep(0.003 * random.random())
        for task in random.sample(tasks, 10):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert slots.in_use == 0
    async with slots.hold(1), slots.hold(1):
        assert slots.in_use == 2


async def test_an_error_inside_releases_the_slot():
    slots = CallSlots(1)
    try:
        async with slots.hold(1):
            raise ValueError
    except ValueError:
        pass
    assert slots.in_use == 0


async def test_a_refusal_cuts_the_limit_once_for_calls_in_flight_together_and_answers_raise_it():
    slots = CallSlots(10)
    async with slots.hold(1) as first, slots.hold(1) as second:
        slots.refused(first)
        slots.refused(second)
    assert slots.limit == 7
    async with slots.hold(1) as later:
        slots.refused(later)
    assert slots.limit == 4
    for _ in range(200):
        slots.answered()
    assert slots.limit == 10


async def test_the_limit_never_falls_below_one_call():
    slots = CallSlots(3)
    for _ in range(20):
        async with slots.hold(1) as began:
            slots.refused(began)
    assert slots.limit == 1
    async with slots.hold(1):
        assert slots.in_use == 1
