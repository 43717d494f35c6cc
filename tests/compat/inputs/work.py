"""What Python programs are made of. Prints what comes of it."""
import collections
import gc
import hashlib
import json
import multiprocessing
import os
import queue
import re
import subprocess
import sys
import threading
import zlib


def churn(seed, rounds=20000):
    """Objects of many sizes, replaced in an order that looks random."""
    live = {}
    state = seed
    for i in range(rounds):
        state = (state * 1103515245 + 12345) % 2**31
        live[state % 1000] = (str(state) * (state % 30), [i] * (state % 50), bytes(state % 3000))
    return sum(len(text) + sum(numbers) + len(data) for text, numbers, data in live.values())


def containers():
    numbers = {i * 7919 % 100003: str(i) for i in range(100000)}
    for key in [k for k in numbers if k % 3]:
        del numbers[key]
    items = sorted(numbers.items(), key=lambda item: item[1])
    items[100:200] = []
    ring = collections.deque(maxlen=1000)
    ring.extend(range(50000))
    print(len(numbers), items[0], items[-1], len(items), ring[0], len(set(range(0, 10**5, 7))))


def texts():
    document = [{"id": i, "name": f"näme {i}", "values": [i / 8, None, True]} for i in range(20000)]
    text = json.dumps(document)
    print(len(text), json.loads(text) == document, len(json.dumps(document, indent=2, sort_keys=True)))
    print(len(re.sub(r"\d+", lambda m: m.group()[::-1] + "!", text)), len(re.findall(r"e \d*7", text)))
    packed = zlib.compress(text.encode())
    print(hashlib.sha256(zlib.decompress(packed)).hexdigest())


def threads():
    jobs, results = queue.Queue(), queue.Queue()

    def worker():
        for seed in iter(jobs.get, None):
            results.put((seed, churn(seed, 2000)))

    workers = [threading.Thread(target=worker) for _ in range(8)]
    for thread in workers:
        thread.start()
    for job in [*range(40), *[None] * len(workers)]:
        jobs.put(job)
    for thread in workers:
        thread.join()
    print(sorted(results.queue)[:3], results.qsize())
    for _ in range(500):
        thread = threading.Thread(target=churn, args=(1, 5))
        thread.start()
        thread.join()


def processes():
    for i in range(20):
        done = subprocess.run(["sh", "-c", f"cat; echo {i} >&2; exit {i}"], input=b"in" * i * 10000, capture_output=True)
        assert done.returncode == i and len(done.stdout) == i * 20000, done.returncode
    noise = [threading.Thread(target=churn, args=(seed, 30000)) for seed in range(3)]
    for thread in noise:
        thread.start()
    with multiprocessing.get_context("fork").Pool(4) as pool:
        print(pool.map(churn, range(8)))
    inherited = [bytes(i) for i in range(5000)]
    for i in range(20):
        child = os.fork()
        if child == 0:
            inherited.clear()
            os._exit(churn(i, 1000) % 100)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), end=" ")
    print(len(inherited))
    for thread in noise:
        thread.join()


def cycles():
    for i in range(20000):
        a, b = [i], [i]
        a.append(b)
        b.append(a)
    gc.collect()
    print(len(bytearray(10**8)), gc.isenabled())
    try:
        bytearray(2**62)
    except MemoryError as error:
        print("MemoryError", error)


for part in (containers, texts, threads, processes, cycles):
    print(part.__name__)
    sys.stdout.flush()
    part()
