import { join } from 'node:path';
import { z } from 'zod';
import { sha256 } from '../util/hash.ts';

/** Names below the folder of an experiment that trains and measures several models; nothing else builds them. */
export const armPaths = {
  /** Of a training file that the experiment derives. */
  data: (folder: string, name: string): string => join(folder, 'data', `${fileName(name)}.jsonl`),
  /** Of a training run. */
  training: (folder: string, name: string): string => join(folder, 'training', fileName(name)),
  /** Of an extraction. */
  vector: (folder: string, trait: string): string => join(folder, 'vectors', fileName(trait)),
  /** Of one model's measurements. */
  arm: (folder: string, name: string): string => join(folder, 'models', fileName(name)),
  /** Of the adapter in a training run's folder. */
  adapter: (training: string): string => join(training, 'adapter_model.safetensors'),
  rollouts: (arm: string, trait: string): string => join(arm, `${fileName(trait)}-rollouts.jsonl`),
  result: (arm: string): string => join(arm, 'measured.json'),
  /** Of the whole experiment. */
  results: (folder: string): string => join(folder, 'results.json'),
  report: (folder: string): string => join(folder, 'report.html'),
} as const;

const interval = z.object({ lower: z.number(), upper: z.number() }).nullable();
const scoreSchema = z.object({
  /** Place in the trait's list of evaluation questions. */
  question: z.int(),
  trait: z.number().nullable(),
  coherence: z.number().nullable(),
});

/** `measured.json` of a model: written when all is measured. */
export const armResultSchema = z.object({
  /** By trait, one entry a reply. */
  behaviour: z.record(z.string(), z.array(scoreSchema)),
  capability: z
    .object({
      name: z.string(),
      questions: z.int(),
      accuracy: z.number().nullable(),
      wilson: interval,
      bootstrap: interval,
    })
    .nullable(),
  /** By trait, at every layer; empty where none was measured. */
  shifts: z.record(
    z.string(),
    z.array(z.object({ layer: z.int(), shift: z.number(), interval, moved: z.number() })),
  ),
});
export type ArmResult = z.infer<typeof armResultSchema>;
export type ReplyScore = z.infer<typeof scoreSchema>;

/** A name from outside as one of a file; two names give two files. */
function fileName(name: string): string {
  const plain = name.replaceAll(/[^\p{L}\p{N}_.@+-]+/gu, '-').replace(/^[.-]+/, '');
  return plain === name ? name : `${plain.slice(0, 80)}-${sha256(name).slice(0, 8)}`;
}
