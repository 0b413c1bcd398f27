"""Writes src/model/gguf-blocks.expected.json: for every block type two blocks of random bytes, and the numbers that the
Python package `gguf` reads from them. Run with a Python that has `gguf` and `numpy`:

    pip install gguf && python scripts/make-gguf-expectations.py

Equal versions write equal bytes. Random bytes exercise every bit of a layout, which blocks of a real model need not; the
half-precision scales alone are drawn as ordinary numbers, since random ones may be infinite.
"""

import base64
import importlib.metadata
import json
import pathlib

import numpy
from gguf import quants
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

BLOCKS = 2
# Where a block has its half-precision numbers, in bytes.
HALVES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
}

random = numpy.random.default_rng(20240726)
types = {}
for name, places in HALVES.items():
    kind = GGMLQuantizationType[name]
    size, block_bytes = GGML_QUANT_SIZES[kind]
    data = random.integers(0, 256, (BLOCKS, block_bytes), dtype=numpy.uint8)
    for place in places:
        halves = random.normal(0, 0.05, (BLOCKS, 1)).astype(numpy.float16)
        data[:, place : place + 2] = halves.view(numpy.uint8)
    values = quants.dequantize(data, kind).astype("<f4")
    assert values.size == BLOCKS * size
    types[name] = {
        "blocks": base64.b64encode(data.tobytes()).decode(),
        "values": base64.b64encode(values.tobytes()).decode(),
    }

target = pathlib.Path(__file__).parent.parent / "src" / "model" / "gguf-blocks.expected.json"
text = json.dumps({"made_by": f"gguf {importlib.metadata.version('gguf')}", "types": types}, indent=2)
target.write_text(text + "\n")
print(f"{len(types)} types: {target}")
