import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ParseError, PersonaError } from '../errors.ts';
import { readSafetensors } from '../model/safetensors-content.ts';
import { writeSafetensors } from '../model/safetensors-writer.ts';
import { removeTemporaries, storeFailure } from './files.ts';

/** What a checkpoint holds: tensors by name, after so many steps. */
export interface StoredState {
  readonly step: number;
  readonly tensors: readonly {
    readonly name: string;
    readonly shape: readonly number[];
    readonly data: Float32Array;
  }[];
}

/** The checkpoints of a run, in a folder of their own. */
export interface CheckpointStore {
  /** The newest one that can be read, or null; `onDamaged` is told of those that cannot. */
  latest(onDamaged: (message: string) => void): Promise<StoredState | null>;
  /** Writes one, whole or not at all, and removes all but the newest `keep`. */
  write(state: StoredState): Promise<void>;
  /** Removes all: the run is finished. */
  clear(): Promise<void>;
}

const folderName = 'checkpoints';
const format = 'persona-vectors/train-checkpoint/1';
const namePattern = /^step-(\d{8})\.safetensors$/;

/** Opens the checkpoints of the run in `run`; call only while holding the run's lock. */
export async function openCheckpoints(run: string, keep: number): Promise<CheckpointStore> {
  const folder = join(run, folderName);
  try {
    await mkdir(folder, { recursive: true });
    await removeTemporaries(folder);
  } catch (error) {
    throw storeFailure(folder, error);
  }
  return {
    latest: async (onDamaged) => {
      for (const step of (await stepsIn(folder)).reverse()) {
        const state = await readState(join(folder, fileName(step)), step, onDamaged);
        if (state !== null) return state;
      }
      return null;
    },
    write: async ({ step, tensors }) => {
      await writeSafetensors(join(folder, fileName(step)), tensors, { format, step: String(step) });
      const old = (await stepsIn(folder)).filter((other) => other <= step).slice(0, -keep);
      for (const other of old) await rm(join(folder, fileName(other)), { force: true });
    },
    clear: () => rm(folder, { recursive: true, force: true }),
  };
}

function fileName(step: number): string {
  return `step-${String(step).padStart(8, '0')}.safetensors`;
}

/** In rising order. */
async function stepsIn(folder: string): Promise<number[]> {
  const names = await readdir(folder);
  return names
    .flatMap((name) => namePattern.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}

/** Null for a file that is damaged: an older one is then gone on from. */
async function readState(
  path: string,
  step: number,
  onDamaged: (message: string) => void,
): Promise<StoredState | null> {
  try {
    const { tensors, metadata } = await readSafetensors(path);
    if (metadata.get('format') !== format || metadata.get('step') !== String(step))
      throw new ParseError(`"${path}" is no checkpoint of step ${step}.`);
    return {
      step,
      tensors: [...tensors].map(([name, { shape, data }]) => {
        if (data instanceof Float32Array) return { name, shape, data };
        throw new ParseError(`"${path}" holds numbers in "${name}" that are no floats.`);
      }),
    };
  } catch (error) {
    if (!(error instanceof PersonaError)) throw error;
    onDamaged(`A checkpoint cannot be used and is passed over: ${error.message}`);
    return null;
  }
}
