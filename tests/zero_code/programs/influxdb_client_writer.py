"""A program that writes to InfluxDB by influxdb-client in every way, as its users do; its argument is the store's URL.

It writes 100 points and 3 that the store rejects, then batches a point at a time until the file `stop` appears.
"""

import asyncio
import sys
import time
from pathlib import Path

from influxdb_client import InfluxDBClient, Point, WriteOptions
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
from influxdb_client.client.write_api import ASYNCHRONOUS, SYNCHRONOUS
from influxdb_client.rest import ApiException

URL = sys.argv[1]
START = time.time_ns()


def points(of: str, number: int) -> list[Point]:
    return [Point("state").tag("of", of).field("value", each).time(START + each * 10**6) for each in range(number)]


async def write_in_a_loop() -> None:
    async with InfluxDBClientAsync(url=URL, token="secret", org="home") as client:
        await client.write_api().write("events", record=points("asyncio", 20))


with InfluxDBClient(url=URL, token="secret", org="home", enable_gzip=True) as client:
    synchronous = client.write_api(write_options=SYNCHRONOUS)
    synchronous.write("events", record=points("synchronous", 30))
    try:
        synchronous.write("events", record=["state value=1", "no fields", "state value=2"])
    except ApiException as error:
        print("rejected", error.status)
    client.write_api(write_options=ASYNCHRONOUS).write("events", record=points("asynchronous", 20)).get()
    asyncio.run(write_in_a_loop())
    with client.write_api(write_options=WriteOptions(batch_size=10, flush_interval=100)) as batching:
        batching.write("events", record=points("batching", 30))
    print("written", flush=True)
    patient = WriteOptions(batch_size=5, flush_interval=100, retry_interval=100, max_retry_delay=200, max_retries=1000)
    number = 0
    with client.write_api(write_options=patient) as batching:
        while not Path("stop").exists():
            line = f"state,of=outage value={number} {START + number * 10**6}"
            batching.write("events", record=line)
            number += 1
            time.sleep(0.02)
    print(f"{number} more", flush=True)

while True:
    time.sleep(1)
