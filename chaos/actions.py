"""What a member does next. An action is a function in ACTIONS; its number is how often it is chosen."""

import asyncio
from collections.abc import Awaitable, Callable

from chaos import verbs
from chaos.ledger import FAIL, OK, SKIP
from chaos.member import Member
from chaos.scene import Place
from chaos.verbs import Held, NewTask, Report, honest

Action = Callable[[Member], Awaitable[object]]

# Of the reports: how many are FAIL, SKIP, and OK with a hash that is made up.
FAILS, SKIPS, LIES = 0.04, 0.04, 0.05
# Of the submitted tasks: how many are delayed, and for how many seconds at most.
DELAYS, LONGEST_DELAY = 0.1, 3.0


def chosen_place(member: Member) -> Place:
    """A project, by its weight."""
    places = list(member.scene.places.values())
    return member.chance.choices(places, [place.weight for place in places])[0]


def leased_place(member: Member) -> Place:
    """A project to lease from, copies included."""
    return member.chance.choice(list(member.scene.places.values()))


def new_task(member: Member) -> NewTask:
    chance = member.chance
    delay = chance.uniform(0.1, LONGEST_DELAY) if chance.random() < DELAYS else 0.0
    return NewTask(member.recipe(), is_unique=chance.random() < 0.7, priority=chance.randrange(3), delay=delay)


def report(member: Member, held: Held) -> Report:
    """What the worker says: mostly OK and the truth."""
    drawn = member.chance.random()
    if drawn < FAILS:
        return Report(held, FAIL, 0)
    if drawn < FAILS + SKIPS:
        return Report(held, SKIP, 0)
    lies = held.place.verification_count > 1 and member.chance.random() < LIES
    return Report(held, OK, member.chance.getrandbits(60) if lies else honest(held.recipe))


async def submit_one(member: Member) -> None:
    await verbs.submit(member, chosen_place(member), [new_task(member)], bulk=False)


async def submit_again(member: Member) -> None:
    """Submit a task twice, with its hash: the second one must not be stored while the first is there."""
    task, place = new_task(member)._replace(is_unique=True), chosen_place(member)
    for _ in range(2):
        await verbs.submit(member, place, [task], bulk=False)


async def submit_many(member: Member) -> None:
    place = chosen_place(member)
    # The limited project's bucket would be in debt for long, and what is small has to be worked off one by one.
    most = member.plan.batch if place.name in ("plain", "quorum", "chained") else 3
    await verbs.submit(member, place, [new_task(member) for _ in range(member.chance.randint(1, most))])


async def one_by_one(member: Member) -> None:
    """Lease a task and release it, a few times."""
    place = leased_place(member)
    for _ in range(member.chance.randint(1, 5)):
        for held in await verbs.lease(member, place):
            await verbs.release(member, [report(member, held)], bulk=False)


async def any_project(member: Member) -> None:
    """Lease from whatever project has work."""
    held = await verbs.lease(member, None)
    if held:
        await verbs.release(member, [report(member, one) for one in held])


async def wait_for_one(member: Member) -> None:
    for held in await verbs.lease(member, leased_place(member), wait=1):
        await verbs.release(member, [report(member, held)], bulk=False)


async def batch(member: Member) -> None:
    held = await verbs.lease(member, leased_place(member), count=member.plan.batch)
    if held:
        await verbs.release(member, [report(member, one) for one in held])


async def exchanges(member: Member) -> None:
    """Exchange a few times, and at last only report."""
    place, held = leased_place(member), list[Held]()
    for _ in range(member.chance.randint(2, 6)):
        reports = [report(member, one) for one in held]
        _, held = await verbs.exchange(member, place, reports, count=member.plan.batch)
        if not held:
            return
    await verbs.release(member, [report(member, one) for one in held])


async def late(member: Member) -> None:
    """Release a task after its lease has expired, when it may be another worker's."""
    place = member.scene.places["short"]
    held = await verbs.lease(member, place, count=member.chance.randint(1, 3))
    if held:
        await asyncio.sleep(place.lease_seconds * member.chance.uniform(0.8, 2.5))
        await verbs.release(member, [report(member, one) for one in held])


async def keep(member: Member) -> None:
    """Work on tasks for longer than their leases last, and extend these in time."""
    place = member.scene.places["short"]
    held = await verbs.lease(member, place, count=member.chance.randint(1, 3))
    for _ in range(member.chance.randint(2, 6)):
        if not held:
            return
        await asyncio.sleep(place.lease_seconds * member.chance.uniform(0.3, 0.7))
        held = await verbs.heartbeat(member, held)
    if held:
        await verbs.release(member, [report(member, one) for one in held])


async def cancel(member: Member) -> None:
    """Cancel some of the tasks that it holds, and report all of them nevertheless."""
    place = member.scene.places["plain"]
    held = await verbs.lease(member, place, count=member.chance.randint(1, 6))
    if held:
        await verbs.cancel(member, place, [one.task for one in held[::2]])
        held = await verbs.heartbeat(member, held) if member.chance.random() < 0.3 else held
    if held:
        await verbs.release(member, [report(member, one) for one in held])


async def walk_away(member: Member) -> None:
    """Lease a few tasks and never come back to them."""
    await verbs.lease(member, leased_place(member), count=member.chance.randint(1, 3))


#: (action, how often)
ACTIONS: list[tuple[Action, int]] = [
    (submit_one, 6),
    (submit_again, 1),
    (submit_many, 12),
    (one_by_one, 6),
    (any_project, 3),
    (wait_for_one, 1),
    (batch, 5),
    (exchanges, 8),
    (late, 2),
    (keep, 2),
    (cancel, 1),
    (walk_away, 1),
]

#: Those that are left out when enough tasks have been submitted for the moment.
SUBMITTING: tuple[Action, ...] = (submit_one, submit_again, submit_many)
