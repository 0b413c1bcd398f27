import type { InferenceSession, Tensor } from 'onnxruntime-node';
import { GraphBuilder } from '../graph/graph.ts';
import type { ModelConfig } from '../model/config.ts';
import type { Device } from './device-name.ts';
import type { BlockCache } from './kv-cache.ts';
import { floatData, openSession, runSession } from './session.ts';
import { names } from './transformer.ts';

/** Whether keys and values can stay on a device between steps. The runtime's Node binding knows WebGPU's memory alone. */
export function keepsCache(device: Device): boolean {
  return device === 'webgpu';
}

const parts = ['key', 'value'] as const;

/**
 * Keys and values on a device, by the views of the cache in memory that they stand for. While they are here, memory lags behind:
 * whoever reads or moves slots there fetches them first.
 */
export class DeviceCache {
  readonly #layers: number;
  readonly #device: Device;
  readonly #held = new Map<readonly BlockCache[], readonly BlockCache[]>();
  #copier: InferenceSession | null = null;

  constructor({ layers }: Pick<ModelConfig, 'layers'>, device: Device) {
    this.#layers = layers;
    this.#device = device;
  }

  /** What a step reads as its past: what lies on the device where it does, else the views themselves. */
  past(views: readonly BlockCache[]): readonly BlockCache[] {
    return this.#held.get(views) ?? views;
  }

  /** Takes what a step has left on the device, in place of what it has read. */
  hold(views: readonly BlockCache[], results: InferenceSession.OnnxValueMapType): void {
    this.drop(views);
    const tensor = (block: number, part: 'key' | 'value'): Tensor =>
      results[names.present(block, part)] as Tensor;
    this.#held.set(
      views,
      views.map((_, block) => ({ key: tensor(block, 'key'), value: tensor(block, 'value') })),
    );
  }

  /** Writes what lies on the device into the views, and lets it go. */
  async fetch(views: readonly BlockCache[]): Promise<void> {
    const held = this.#held.get(views);
    if (held === undefined) return;
    this.#copier ??= await openSession(copyGraph(this.#layers), {
      threads: 1,
      packed: false,
      device: this.#device,
    });
    const each = (cache: readonly BlockCache[]): [string, Tensor][] =>
      cache.flatMap((block, i) => parts.map((part): [string, Tensor] => [`${part} ${i}`, block[part]]));
    const results = await runSession(
      this.#copier,
      Object.fromEntries(each(held)),
      Object.fromEntries(each(held).map(([name]) => [`${name} copied`, null])),
    );
    for (const [name, target] of each(views)) floatData(target).set(floatData(results[`${name} copied`]));
    this.drop(views);
  }

  /** Brings everything home, before the session that it came from ends. */
  async fetchAll(): Promise<void> {
    for (const views of this.#held.keys()) await this.fetch(views);
  }

  /** Lets go of what lies on the device for these views. */
  drop(views: readonly BlockCache[]): void {
    for (const block of this.#held.get(views) ?? []) for (const part of parts) block[part].dispose();
    this.#held.delete(views);
  }

  async close(): Promise<void> {
    for (const views of this.#held.keys()) this.drop(views);
    await this.#copier?.release();
    this.#copier = null;
  }
}

/** Results come to memory where a session does not say otherwise: each input once more, times 1. The binding's own download ends the process. */
function copyGraph(layers: number): ReturnType<GraphBuilder['build']> {
  const g = new GraphBuilder('copy');
  const one = g.constant('one', Float32Array.of(1), [1]);
  for (let i = 0; i < layers; i++)
    for (const part of parts) {
      const x = g.input(`${part} ${i}`, 'f32', ['slot', 'head', 'capacity', 'size']);
      g.output(`${part} ${i} copied`, g.mul(x, one));
    }
  return g.build();
}
