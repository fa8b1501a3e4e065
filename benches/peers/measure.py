"""Closed callers over a function that runs one instance, and what they see, as one line of JSON."""

import asyncio
import json
import statistics
import sys
import threading
import time

WARM_UP_PART = 0.2


def report(latencies, seconds, cpu_seconds, failed):
    """Prints what was measured. The processor's time is that of this whole process, callers included."""
    count = len(latencies)
    print(
        json.dumps(
            {
                "instances": count,
                "failed": failed,
                "seconds": seconds,
                "p50_ms": statistics.median(latencies) * 1e3 if count else None,
                "cpu_ms_each": cpu_seconds * 1e3 / count if count else None,
            }
        )
    )


class Observed:
    """What one measurement sees, once its warm-up is over."""

    def __init__(self, seconds):
        self.latencies, self.failed, self.last_failure = [], 0, None
        self.began = time.perf_counter() + seconds * WARM_UP_PART
        self.ends = self.began + seconds
        self.cpu_at_begin = None

    def is_over(self):
        return time.perf_counter() >= self.ends

    def note(self, since, failure=None):
        now = time.perf_counter()
        if now < self.began:
            return
        if self.cpu_at_begin is None:
            self.cpu_at_begin, self.began = time.process_time(), now
            return
        if failure is None:
            self.latencies.append(now - since)
        else:
            self.failed, self.last_failure = self.failed + 1, failure

    def report(self):
        cpu = time.process_time() - (self.cpu_at_begin or 0)
        if self.last_failure is not None:
            print(f"{self.failed} failed, the last with: {self.last_failure}", file=sys.stderr)
        report(self.latencies, time.perf_counter() - self.began, cpu, self.failed)


async def callers_async(run_one, callers, seconds):
    """So many tasks, each with one instance after the other."""
    observed = Observed(seconds)

    async def caller():
        while not observed.is_over():
            since = time.perf_counter()
            try:
                await run_one()
                observed.note(since)
            except Exception as error:  # noqa: BLE001: a peer's failure is a figure
                observed.note(since, repr(error)[:200])
                await asyncio.sleep(0)

    await asyncio.gather(*(caller() for _ in range(callers)))
    observed.report()


def callers_on_threads(run_one, callers, seconds):
    """So many threads, each with one instance after the other."""
    observed = Observed(seconds)

    def caller():
        while not observed.is_over():
            since = time.perf_counter()
            try:
                run_one()
                observed.note(since)
            except Exception as error:  # noqa: BLE001: a peer's failure is a figure
                observed.note(since, repr(error)[:200])

    threads = [threading.Thread(target=caller) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    observed.report()
