"""Prints for each set of keys the number of keys of the busiest member on tooz's hash ring, as ceilometer's agents use it.

Each line of the input is JSON: first the list of members, then the list of keys of each set.
"""

import collections
import json
import sys

from tooz import hashring

ring = hashring.HashRing([member.encode() for member in json.loads(sys.stdin.readline())])
for line in sys.stdin:
    shares = collections.Counter(next(iter(ring.get_nodes(key.encode()))) for key in json.loads(line))
    print(max(shares.values()))
