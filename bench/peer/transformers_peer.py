"""PyTorch transformers beside the benchmark: one JSON command a line on stdin, one JSON answer a line on stdout.

Every command that is timed answers with the seconds that it measured itself, so that the pipe costs nothing. The loops
are written by hand and are faster than `generate()`: what is compared is the best that PyTorch does on the same work.
"""

import json
import os
import sys
import time

# Nothing is fetched: the model is a local folder.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
import transformers
from transformers import AutoModelForCausalLM, DynamicCache

torch.set_grad_enabled(False)
models = {}


def load(folder, dtype, threads):
    torch.set_num_threads(threads)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
    models[dtype] = model
    return {"torch": torch.__version__, "transformers": transformers.__version__, "attention": model.config._attn_implementation}


def row(length, vocab, offset=0):
    """The same ids as `rowIds` of part.ts."""
    return torch.tensor([[(i * 7919 + offset) % vocab for i in range(length)]])


def pooled(states, start):
    """Mean over the response, mean over the prompt and last prompt token, of every layer."""
    return torch.stack(
        [torch.stack([h[0, start:].mean(0), h[0, :start].mean(0), h[0, start - 1]]) for h in states]
    ).float()


def prefill(dtype, tokens, capture):
    model = models[dtype]
    ids = row(tokens, model.config.vocab_size)
    start = -(-tokens // 4)
    began = time.perf_counter()
    out = model.model(ids, output_hidden_states=capture, use_cache=False)
    if capture:
        pooled(out.hidden_states, start)
    return {"seconds": time.perf_counter() - began}


def readings(dtype, tokens):
    """The prompt mean of the first numbers of every layer but the last, which is after the final norm here."""
    model = models[dtype]
    ids = row(tokens, model.config.vocab_size)
    states = model.model(ids, output_hidden_states=True, use_cache=False).hidden_states
    return {"readings": [h[0].float().mean(0)[:16].tolist() for h in states[:-1]]}


def decode(dtype, batch, prompt, steps, capture):
    """`steps` sampled tokens a row after a common prompt; the prompt and the first token are not timed."""
    model = models[dtype]
    cache = DynamicCache()
    logits = model(row(prompt, model.config.vocab_size), past_key_values=cache, use_cache=True, logits_to_keep=1).logits
    cache.batch_repeat_interleave(batch)
    ids = torch.multinomial(logits[0, -1].float().softmax(-1), batch, replacement=True).view(batch, 1)
    sums = 0
    began = time.perf_counter()
    for _ in range(steps):
        out = model(ids, past_key_values=cache, use_cache=True, output_hidden_states=capture, logits_to_keep=1)
        if capture:
            sums = sums + torch.stack([h[:, 0] for h in out.hidden_states]).float()
        ids = torch.multinomial(out.logits[:, -1].float().softmax(-1), 1)
    return {"seconds": time.perf_counter() - began}


def extract(dtype, prompts, samples, prompt, reply):
    """The authors' order: sampled replies in batches of twenty, then every text alone through the model, with all hidden
    states and all logits. Without gradients, which their script keeps."""
    model = models[dtype]
    vocab = model.config.vocab_size
    rows = torch.cat([row(prompt, vocab, 31 * p) for p in range(prompts) for _ in range(samples)])
    began = time.perf_counter()
    texts = []
    for batch in rows.split(20):
        cache = DynamicCache()
        feed, text = batch, [batch]
        for _ in range(reply):
            logits = model(feed, past_key_values=cache, use_cache=True, logits_to_keep=1).logits
            feed = torch.multinomial(logits[:, -1].float().softmax(-1), 1)
            text.append(feed)
        texts.append(torch.cat(text, 1))
    readings = [
        pooled(model(text.view(1, -1), output_hidden_states=True, use_cache=False).hidden_states, prompt)
        for text in torch.cat(texts)
    ]
    half = len(readings) // 2
    torch.stack(readings[:half]).mean(0) - torch.stack(readings[half:]).mean(0)
    return {"seconds": time.perf_counter() - began}


def screen(dtype, samples, prompt, reply, own):
    """The authors' order: with `own` greedy replies in batches of twenty first; then every text alone through the model, with
    all hidden states and all logits, and the mean over its reply projected at the middle layer. Without gradients."""
    model = models[dtype]
    vocab = model.config.vocab_size
    prompts = torch.cat([row(prompt, vocab, 31 * i) for i in range(samples)])
    given = torch.cat([row(reply, vocab, 31 * i + 7) for i in range(samples)])
    layer = (model.config.num_hidden_layers + 1) // 2
    direction = torch.sin(torch.arange(1, model.config.hidden_size + 1)).to(models[dtype].dtype)
    began = time.perf_counter()
    texts = list(torch.cat([prompts, given], 1))
    if own:
        for batch in prompts.split(20):
            cache = DynamicCache()
            feed, text = batch, [batch]
            for _ in range(reply):
                logits = model(feed, past_key_values=cache, use_cache=True, logits_to_keep=1).logits
                feed = logits[:, -1].argmax(-1, keepdim=True)
                text.append(feed)
            texts.extend(torch.cat(text, 1))
    for text in texts:
        states = model(text.view(1, -1), output_hidden_states=True, use_cache=False).hidden_states
        states[layer][0, prompt:].mean(0) @ direction / direction.norm()
    return {"seconds": time.perf_counter() - began}


adapted = {}


def train(dtype, rows, tokens, rank, alpha):
    """One step of LoRA on all seven projections, AdamW, loss on the last three quarters of each row. Only the logits
    that count are computed, as on the other side."""
    if dtype not in adapted:
        import copy

        import peft

        # A copy: the adapter is put into the modules themselves, and the other timings want none.
        config = peft.LoraConfig(r=rank, lora_alpha=alpha, use_rslora=True, target_modules="all-linear", task_type="CAUSAL_LM")
        model = peft.get_peft_model(copy.deepcopy(models[dtype]), config).train()
        parameters = [p for p in model.parameters() if p.requires_grad]
        adapted[dtype] = model, parameters, torch.optim.AdamW(parameters, lr=1e-5)
    model, parameters, optimizer = adapted[dtype]
    vocab = model.config.vocab_size
    ids = torch.cat([row(tokens, vocab, i) for i in range(rows)])
    start = tokens // 4
    with torch.enable_grad():
        began = time.perf_counter()
        logits = model(ids, use_cache=False, logits_to_keep=tokens - start + 1).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), ids[:, start:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
    return {"seconds": time.perf_counter() - began}


commands = {"train": train, "load": load, "prefill": prefill, "decode": decode, "extract": extract, "screen": screen, "readings": readings}
for line in sys.stdin:
    order = json.loads(line)
    answer = commands[order.pop("command")](**order)
    print(json.dumps(answer), flush=True)
