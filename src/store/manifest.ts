import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { machineNoteSchema } from './machine-note.ts';
import { readFailure } from './files.ts';
import { jsonValueSchema } from './schema.ts';

/** Changes when a reader of an older run folder would misread a newer one. */
export const SCHEMA_VERSION = 1;

/** Length and hash of a file. */
export const artifactSchema = z.object({ bytes: z.int(), sha256: z.string() });

/** What the manifest of every kind of run says of where it comes from. */
export const originSchema = z.object({
  schema: z.literal(SCHEMA_VERSION),
  package: z.object({ name: z.string(), version: z.string() }),
  /** Of the call that finished the run; absent in runs of older versions. */
  machine: machineNoteSchema.exactOptional(),
  model: z.object({
    id: z.string(),
    revision: z.string().nullable(),
    fingerprint: z.string(),
    dtype: z.string(),
    layers: z.int(),
    width: z.int(),
    /** The LoRA adapter that the model was run with, which the fingerprint covers; absent where there was none. */
    adapter: z.object({ name: z.string(), sha256: z.string() }).exactOptional(),
  }),
});

const resultSchema = originSchema.extend({
  trait: z.object({ name: z.string(), sha256: z.string() }),
  /** All options that decide the results, seeds included. */
  recipe: z.record(z.string(), jsonValueSchema),
  judge: z.string(),
  /** Rollouts, pairs kept and pairs dropped by reason. */
  counts: z.record(z.string(), z.int()),
  /** Seconds by step, of the process that finished the run; a step that an earlier process finished is null. */
  seconds: z.record(z.string(), z.number().nullable()),
  artifacts: z.record(z.string(), artifactSchema),
});

/** `manifest.json`, written last: a folder that has one is a finished run. */
export const manifestSchema = resultSchema.extend({ kind: z.literal('extract') });
export type Manifest = z.infer<typeof manifestSchema>;

/** The same of a validation below a run. */
export const validationManifestSchema = resultSchema.extend({ kind: z.literal('validate') });
export type ValidationManifest = z.infer<typeof validationManifestSchema>;
export type Artifact = z.infer<typeof artifactSchema>;

/** Length and SHA-256 of a file, read in pieces. */
export async function describeArtifact(path: string): Promise<Artifact> {
  const hash = createHash('sha256');
  const stream = createReadStream(path);
  try {
    await pipeline(stream, hash);
  } catch (error) {
    throw readFailure(path, error);
  }
  return { bytes: stream.bytesRead, sha256: hash.digest('hex') };
}
