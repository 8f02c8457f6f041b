"""Threads of OpenMP that wait: asleep, so that other processes have the core."""

from __future__ import annotations

import os

ASLEEP = {  # variable: value
    "GOMP_SPINCOUNT": "0",  # of GNU's OpenMP, which comes with torch on Linux
    "KMP_BLOCKTIME": "0",  # of LLVM's and Intel's, elsewhere
    "OMP_WAIT_POLICY": "PASSIVE",  # of the standard, which leaves open what it means
}


def wait_asleep() -> None:
    """Have threads that wait for others sleep, here and in processes that are started from here.

    As it comes, GNU's OpenMP lets a thread turn round for about ten milliseconds before it sleeps, as long as a step of
    training takes. Beside other processes it turns on a core that these, or the thread it waits for, could use. OpenMP
    reads the environment once, so this comes before torch is imported. Where the user has set one of the variables,
    none is changed. The library does not do it to a program that uses it.
    """
    if not ASLEEP.keys() & os.environ.keys():
        os.environ.update(ASLEEP)
