"""Sends samples as ceilometer's polling agent does, without its signatures; prints samples per second.

Arguments: the transport's URL, samples per notification. Reads samples from standard input, one JSON object per line.
"""

import json
import sys
import time

import oslo_messaging
from oslo_config import cfg

url, size = sys.argv[1], int(sys.argv[2])
samples = [json.loads(line) for line in sys.stdin]
batches = [samples[start:start + size] for start in range(0, len(samples), size)]

conf = cfg.ConfigOpts()
conf([])
oslo_messaging.set_transport_defaults("ceilometer")
transport = oslo_messaging.get_notification_transport(conf, url=url)
notifier = oslo_messaging.Notifier(
    transport, publisher_id="ceilometer.polling", driver="messagingv2", topics=["notifications"], retry=0
)


def send(batch):
    notifier.sample({}, "telemetry.polling", {"samples": batch})


# The first batch connects and declares.
send(batches[0])
began = time.monotonic()
for batch in batches:
    send(batch)
print(len(samples) / (time.monotonic() - began))
