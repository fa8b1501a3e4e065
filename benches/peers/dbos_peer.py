"""DBOS on SQLite: ten steps that do nothing, called as functions, from one thread for each caller."""

import sys
from pathlib import Path

from dbos import DBOS
from measure import callers_on_threads

STEPS = 10


@DBOS.step()
def noop(n):
    return n


@DBOS.workflow()
def linear(n):
    for _ in range(STEPS):
        n = noop(n)
    return n


if __name__ == "__main__":
    folder, callers, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    database = folder / f"dbos-{callers}.sqlite"
    DBOS(config={"name": "linear", "system_database_url": f"sqlite:///{database}", "log_level": "ERROR"})
    DBOS.launch()
    assert linear(1) == 1
    callers_on_threads(lambda: linear(1), callers, seconds)
    DBOS.destroy()
