"""A program that writes to InfluxDB by influxdb3-python, as its users do; its argument is the store's URL.

It writes 100 points and 3 that the store rejects, then batches a point at a time until the file `stop` appears.
"""

import sys
import time
from pathlib import Path

from influxdb_client_3 import (
    ASYNCHRONOUS,
    SYNCHRONOUS,
    InfluxDBClient3,
    InfluxDBError,
    Point,
    WriteOptions,
    write_client_options,
)

URL = sys.argv[1]
START = time.time_ns()


def points(of: str, number: int) -> list[Point]:
    return [Point("state").tag("of", of).field("value", each).time(START + each * 10**6) for each in range(number)]


def client(options: WriteOptions) -> InfluxDBClient3:
    settings = write_client_options(write_options=options)
    return InfluxDBClient3(host=URL, token="secret", org="home", database="events", write_client_options=settings)


with client(SYNCHRONOUS) as synchronous:
    synchronous.write(points("synchronous", 50))
    try:
        synchronous.write(["state value=1", "no fields", "state value=2"])
    except InfluxDBError as error:
        print("rejected", error.status)
with client(ASYNCHRONOUS) as asynchronous:
    asynchronous.write(points("asynchronous", 20))
    time.sleep(1)  # earlier versions return nothing to wait for
with client(WriteOptions(batch_size=10, flush_interval=100)) as batching:
    batching.write(points("batching", 30))
print("written", flush=True)
patient = WriteOptions(batch_size=5, flush_interval=100, retry_interval=100, max_retry_delay=200, max_retries=1000)
number = 0
with client(patient) as batching:
    while not Path("stop").exists():
        batching.write(f"state,of=outage value={number} {START + number * 10**6}")
        number += 1
        time.sleep(0.02)
print(f"{number} more", flush=True)

while True:
    time.sleep(1)
