"""litestar-workflows: ten steps that do nothing, in memory or on SQLite through a session for each caller, as its documentation sets both up."""

import asyncio
import sys
from pathlib import Path

from litestar_workflows import BaseMachineStep, Edge, LocalExecutionEngine, WorkflowDefinition, WorkflowRegistry
from measure import callers_async

STEPS = 10


class Noop(BaseMachineStep):
    """Does nothing."""

    def __init__(self, name):
        self.name, self.description = name, ""

    async def execute(self, context):
        return None


def new_definition():
    return WorkflowDefinition(
        name="linear",
        version="1.0.0",
        description="",
        steps={f"s{n}": Noop(f"s{n}") for n in range(STEPS)},
        edges=[Edge(f"s{n}", f"s{n + 1}") for n in range(STEPS - 1)],
        initial_step="s0",
        terminal_steps={f"s{STEPS - 1}"},
    )


class Linear:
    """One step after the other, as the documentation writes a workflow."""

    name, version, description = "linear", "1.0.0", ""

    @staticmethod
    def get_definition():
        return new_definition()


class LinearKept(Linear):
    """The same with its definition made once."""

    definition = new_definition()

    @classmethod
    def get_definition(cls):
        return cls.definition


async def run_one(engine, workflow=Linear):
    """Starts an instance and waits for the task that runs it: the shortest wait there is."""
    instance = await engine.start_workflow(workflow, initial_data={"n": 1})
    task = engine._running.get(instance.id)
    if task is not None:
        await task
    return instance


async def in_memory(workflow, callers, seconds):
    engine = LocalExecutionEngine(WorkflowRegistry())

    async def run():
        instance = await run_one(engine, workflow)
        assert instance.status == "completed", instance.status
        # It keeps every instance for ever; a long run would measure the memory of the machine.
        del engine._instances[instance.id]

    await callers_async(run, callers, seconds)


async def on_sqlite(database, callers, seconds):
    from advanced_alchemy.base import UUIDAuditBase
    from litestar_workflows.db import PersistentExecutionEngine
    from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

    sql = create_async_engine(f"sqlite+aiosqlite:///{database}")
    async with sql.begin() as connection:
        await connection.run_sync(UUIDAuditBase.metadata.create_all)
    new_session = async_sessionmaker(sql, expire_on_commit=False)
    registry = WorkflowRegistry()

    async def run():
        # A session can not be shared by what runs at once, so each instance has its own, as each request has.
        async with new_session() as session:
            engine = PersistentExecutionEngine(registry, session)
            instance = await run_one(engine)
            stored = await engine.get_instance(instance.id)
            assert stored.status == "completed", stored.status

    await run()
    await callers_async(run, callers, seconds)
    await sql.dispose()


if __name__ == "__main__":
    store, folder, callers, seconds = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    if store == "memory":
        asyncio.run(in_memory(Linear, callers, seconds))
    elif store == "memory-kept":
        asyncio.run(in_memory(LinearKept, callers, seconds))
    else:
        asyncio.run(on_sqlite(folder / f"litestar-{callers}.db", callers, seconds))
