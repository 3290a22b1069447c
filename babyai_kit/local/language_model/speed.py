"""What this machine computes fastest, as measured now: the number format, and how many threads."""

from __future__ import annotations

import os
import time

import torch

GAIN = 0.9
"""More threads must take at most this share of the time that fewer take; they could do other work."""


def fastest_format(device: torch.device) -> torch.dtype:
    """bfloat16 or float32, whichever multiplies a layer's matrices faster."""
    return min((torch.bfloat16, torch.float32), key=lambda dtype: _seconds(dtype, device))


def fastest_threads() -> int:
    """For this thread's calls of PyTorch: one, or twice as many for as long as that is faster."""
    device, before = torch.device("cpu"), torch.get_num_threads()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    best, best_s = 1, float("inf")
    try:
        torch.set_num_threads(1)
        dtype = fastest_format(device)
        for threads in dict.fromkeys((*(2**n for n in range(cores.bit_length())), cores)):
            torch.set_num_threads(threads)
            seconds = _seconds(dtype, device)
            if seconds > GAIN * best_s:
                break
            best, best_s = threads, seconds
    finally:
        torch.set_num_threads(before)
    return best


def _seconds(dtype: torch.dtype, device: torch.device) -> float:
    vectors = torch.ones(256, 576, dtype=dtype, device=device)
    layer = torch.ones(1536, 576, dtype=dtype, device=device)
    fastest = float("inf")
    for _ in range(8):
        start = time.perf_counter()
        float(torch.nn.functional.linear(vectors, layer)[0, 0])
        fastest = min(fastest, time.perf_counter() - start)
    return fastest
