"""Writes src/util/zstd.expected.json: data of many kinds as the Python package `zstandard` compresses them, the size of
the data and their SHA-256. Run with a Python that has `zstandard` and `numpy`:

    pip install zstandard numpy && python scripts/make-zstd-expectations.py

Equal versions write equal bytes. The kinds reach what a decoder has to know: raw, repeated and compressed blocks, literals in
one stream and in four, codes spelled both ways, tables given, repeated and predefined, offsets used again, several blocks.
"""

import base64
import hashlib
import json
import pathlib

import numpy
import zstandard

random = numpy.random.default_rng(20260801)


def bfloat16(count, deviation):
    numbers = random.normal(0, deviation, count).astype(numpy.float32)
    return (numbers.view(numpy.uint32) >> 16).astype(numpy.uint16).tobytes()


words = [b"a", b"the ", b"residual ", b"stream ", b"layer ", b"of ", b"\n", b"persona ", b"vector "]
text = b"".join(words[i] for i in random.integers(0, len(words), 4000))
skewed = numpy.minimum(random.geometric(0.4, 20_000), 250).astype(numpy.uint8).tobytes()
data = {
    "nothing": b"",
    "one byte": b"x",
    "a short text": b"once upon a time there was a time upon which once was a time",
    "zeros over several blocks": bytes(300_000),
    "a period over several blocks": (b"0123456789abcdefghijklmnopqrstuvwxyz" * 9000)[:300_000],
    "noise": random.integers(0, 256, 500, dtype=numpy.uint8).tobytes(),
    "words": text,
    "skewed bytes": skewed,
    "residuals in bfloat16": bfloat16(1500, 1.5),
    "residuals in float32": random.normal(0, 2, 400).astype("<f4").tobytes(),
}
cases = [
    (name, level, bytes_)
    for name, bytes_ in data.items()
    for level in ([1, 3, 19] if len(bytes_) < 100_000 else [1, 19])
]
found = [
    {
        "name": f"{name}, level {level}",
        "compressed": base64.b64encode(zstandard.ZstdCompressor(level=level).compress(bytes_)).decode(),
        "size": len(bytes_),
        "sha256": hashlib.sha256(bytes_).hexdigest(),
    }
    for name, level, bytes_ in cases
]
stream = zstandard.ZstdCompressor(level=1, write_checksum=True, write_content_size=False)
found.append(
    {
        "name": "a frame with a checksum and without its size, then another",
        "compressed": base64.b64encode(stream.compress(text) + stream.compress(b"end")).decode(),
        "size": len(text) + 3,
        "sha256": hashlib.sha256(text + b"end").hexdigest(),
    }
)

target = pathlib.Path(__file__).parent.parent / "src" / "util" / "zstd.expected.json"
target.write_text(json.dumps({"made_by": f"zstandard {zstandard.__version__}", "cases": found}, indent=1) + "\n")
print(f"{len(found)} cases: {target}")
