"""Reads pages with the strict parser, and says what is on them.

A page is a line with its length in bytes, and the page; the answer is a line of JSON.
"""

import json
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families


def samples(page):
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            exemplar = sample.exemplar and sample.exemplar.labels
            yield [sample.name, sample.labels, repr(float(sample.value)), family.type, exemplar]


def answer(page):
    try:
        return {"samples": list(samples(page.decode()))}
    except Exception as error:
        return {"error": repr(error)}


for length in sys.stdin.buffer:
    print(json.dumps(answer(sys.stdin.buffer.read(int(length)))), flush=True)
