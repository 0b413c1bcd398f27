import { join } from 'node:path';
import { type ProtocolName, protocols } from '../apps/validate-run.ts';
import { PersonaError } from '../errors.ts';
import { readJsonObject } from '../model/json-text.ts';
import { type Cell, type Sweep, sweepSchema } from '../store/result-schema.ts';
import { runFiles, validationFolder } from '../store/run-folder.ts';
import { describeIssues } from '../store/schema.ts';
import { HttpFailure } from './failure.ts';
import { fileInside } from './run-files.ts';
import type { VectorValidation } from './vectors-api.ts';

type Validation = VectorValidation['validations'][number];

/** A sweep of eighty layers and twenty strengths takes one. */
const mostBytes = 4 * 1024 * 1024;

/** A vector in a folder: a run of `persona extract`, or a file of its own. */
interface VectorPlace {
  readonly name: string;
  readonly isRun: boolean;
  /** Of the tensor that is meant where none is named. */
  readonly pooling: string;
}

/** Where the sweep of a vector lies that is a file of its own. */
export function sweepBeside(folder: string, name: string): string {
  return join(folder, `${name}.${runFiles.sweep}`);
}

/**
 * The sweeps of a vector: of a run its own and those of `persona validate`, of a file the one beside it. What a link leads to
 * is not read.
 *
 * @throws HttpFailure 409 for a file that is no sweep, or larger than one is.
 */
export async function readValidations(folder: string, place: VectorPlace): Promise<Validation[]> {
  const found: Validation[] = [];
  for (const { file, below, pooling } of sweepsOf(place)) {
    const path = await fileInside(folder, below);
    if (path !== null) found.push(toValidation(await readSweep(path, below), file, pooling));
  }
  return found;
}

interface SweepPlace {
  /** As clients see it. */
  readonly file: string;
  /** Path below the folder of vectors. */
  readonly below: string;
  readonly pooling: string;
}

function sweepsOf({ name, isRun, pooling }: VectorPlace): SweepPlace[] {
  const beside = `${name}.${runFiles.sweep}`;
  if (!isRun) return [{ file: beside, below: beside, pooling }];
  const measured = (Object.keys(protocols) as ProtocolName[]).map((protocol) => ({
    file: join(validationFolder(protocol), runFiles.sweep),
    pooling: protocols[protocol].pooling,
  }));
  return [{ file: runFiles.sweep, pooling }, ...measured].map((one) => ({
    ...one,
    below: join(name, one.file),
  }));
}

async function readSweep(path: string, below: string): Promise<Sweep> {
  try {
    const parsed = sweepSchema.safeParse(await readJsonObject(path, mostBytes));
    if (parsed.success) return parsed.data;
    throw unreadable(`expected a sweep in "${below}", got something else: ${describeIssues(parsed.error)}`);
  } catch (error) {
    if (!(error instanceof PersonaError)) throw error;
    // Where the folder lies is nobody's business.
    throw unreadable(error.message.replaceAll(path, below));
  }
}

function unreadable(message: string): HttpFailure {
  return new HttpFailure(409, message, { code: 'unreadable_validation' });
}

function toValidation(sweep: Sweep, file: string, pooling: string): Validation {
  const { positions, unit, coherence_floor, zero, trait, random, recommended } = sweep;
  return {
    file,
    pooling,
    positions,
    unit,
    coherence_floor,
    unsteered: { score: zero.score, coherence: zero.coherence },
    cells: trait.flatMap(toCell),
    random: random.flatMap(toCell),
    chosen: recommended === null ? null : chosenOf(recommended),
  };
}

function chosenOf({ layer, strength }: Cell): Validation['chosen'] {
  return layer === null ? null : { layer, strength };
}

/** None for a cell that is at no layer. */
function toCell(cell: Cell): Validation['cells'] {
  const { layer, strength, coef, score, lower, upper, coherence, rollouts, unscored } = cell;
  const { coherence_lower, coherence_upper } = cell;
  const measured = { score, lower, upper, coherence, coherence_lower, coherence_upper };
  return layer === null ? [] : [{ layer, strength, coef, ...measured, rollouts, unscored }];
}
