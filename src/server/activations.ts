import { encodeActivationRow } from '../apps/activation-rows.ts';
import { checkPoolings } from '../apps/activations.ts';
import type { Pooled, Pooling } from '../engine/types.ts';
import type { ActivationsRequest, ActivationsResult } from './api.ts';
import { toMessages } from './chat.ts';
import { HttpFailure } from './failure.ts';
import { findModel } from './replies.ts';
import type { ServerSettings } from './settings.ts';

/** Numbers in one answer, whose writing holds up everybody else; a file of them is what `persona activations` is for. */
const mostNumbers = { float: 250_000, base64: 4_000_000 };

/** Pools the residual stream of given texts. */
export async function answerActivations(
  request: ActivationsRequest,
  { models }: Pick<ServerSettings, 'models'>,
  signal: AbortSignal,
): Promise<ActivationsResult> {
  const { id, model } = findModel(models, request.model);
  const { checkpoint } = model;
  const { layers: last, width } = checkpoint.config;
  const pool = request.pool ?? ['response_mean'];
  checkPoolings(pool, checkpoint);
  const layers = request.layers ?? Array.from({ length: last + 1 }, (_, layer) => layer);
  const stranger = layers.find((layer) => layer > last);
  if (stranger !== undefined)
    throw new HttpFailure(400, `expected layers from 0 to ${last}, got ${stranger}`, { param: 'layers' });
  const format = request.encoding_format ?? 'float';
  const numbers = request.input.length * pool.length * layers.length * width;
  if (numbers > mostNumbers[format])
    throw new HttpFailure(
      400,
      `expected at most ${mostNumbers[format]} numbers in one answer as ${format}, got ${numbers}; ask for fewer layers, poolings or rows`,
    );
  const rows = request.input.map((row, i) =>
    encodeActivationRow(toRow(row), checkpoint, pool, `input ${i + 1}`),
  );
  const data: ActivationsResult['data'] = [];
  for await (const { index, pooled } of model.forward(rows, { pool, signal })) {
    data[index] = { index, pooled: readPooled(pooled, pool, { layers, width, format }) };
  }
  const tokens = rows.reduce((sum, { ids }) => sum + ids.length, 0);
  return {
    model: id,
    shape: [layers.length, width],
    layers,
    data,
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  };
}

/** As a row of a data set, whose messages hold text alone. */
function toRow(row: ActivationsRequest['input'][number]): object {
  return 'messages' in row ? { messages: toMessages(row.messages) } : row;
}

function readPooled(
  pooled: Pooled,
  pool: readonly Pooling[],
  {
    layers,
    width,
    format,
  }: { readonly layers: readonly number[]; readonly width: number; readonly format: 'float' | 'base64' },
): Record<string, string | number[]> {
  const read = (name: Pooling): string | number[] => {
    const kept = new Float32Array(layers.length * width);
    for (const [i, layer] of layers.entries())
      kept.set(pooled[name]!.subarray(layer * width, (layer + 1) * width), i * width);
    return format === 'float' ? [...kept] : Buffer.from(kept.buffer).toString('base64');
  };
  return Object.fromEntries(pool.map((name) => [name, read(name)]));
}
