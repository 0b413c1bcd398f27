import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { Readable } from 'node:stream';
import { pathKind } from '../model/read-bytes.ts';
import { PersonaVector } from '../persona/vector.ts';
import { readVectorFile, readVectorOutline, writeVectorFile } from '../store/vector-file.ts';
import { type ImportOptions, importVector, ptLayouts } from '../store/vector-import.ts';
import { runFiles } from '../store/run-folder.ts';
import { PersonaError } from '../errors.ts';
import { defined } from '../util/defined.ts';
import type { VectorFacts } from './api.ts';
import { HttpFailure } from './failure.ts';
import { nameableVectors } from './persona.ts';
import { fileInside } from './run-files.ts';
import type { Limits } from './settings.ts';
import { type Comparable, compareAll } from './vector-cosines.ts';
import { readValidations, sweepBeside } from './vector-validation.ts';
import type { VectorCosines, VectorLayers, VectorValidation } from './vectors-api.ts';

const uploadPrefix = '.upload-';
/** Milliseconds after which nobody is still sending. */
const abandonedAfter = 3_600_000;
const namePattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;

/** What of an upload its bytes do not say. */
export interface UploadQuery {
  readonly layout?: string | undefined;
  readonly pooling?: string | undefined;
  readonly trait?: string | undefined;
  readonly model?: string | undefined;
}

/** The vectors in one folder as resources. */
export class VectorResources {
  private readonly folder: string;
  private readonly limits: Pick<Limits, 'uploadBytes' | 'vectors'>;
  /** The change under way: they come one after the other, so that one vector at a time is in memory. */
  private turn: Promise<unknown> = Promise.resolve();

  constructor(folder: string, limits: Pick<Limits, 'uploadBytes' | 'vectors'>) {
    this.folder = folder;
    this.limits = limits;
  }

  /** Those that can be read; one that cannot does not hide the others. */
  async list(): Promise<VectorFacts[]> {
    const facts: VectorFacts[] = [];
    for (const name of await nameableVectors(this.folder)) {
      const file = await this.fileOf(name);
      const vector = file === null ? null : await readable(PersonaVector.load(file));
      if (vector !== null) facts.push(toFacts(name, vector));
    }
    return facts;
  }

  async get(name: string): Promise<VectorFacts> {
    return toFacts(name, await PersonaVector.load(await this.existing(name)));
  }

  /** A vector layer by layer, and where it came from. */
  async layers(name: string): Promise<VectorLayers> {
    const path = await this.existing(name);
    const vector = await PersonaVector.load(path);
    const { residualNorms, method, modelRevision, pairsKept, pairsTotal, threshold, source } =
      vector.metadata;
    return {
      name,
      norms: Array.from({ length: vector.layers + 1 }, (_, layer) => vector.norm(layer)),
      residual_norms: residualNorms === null ? null : [...residualNorms],
      usable_layers: vector.usableLayers,
      poolings: [...(await readVectorFile(path)).tensors.keys()],
      method,
      model_revision: modelRevision,
      pairs_kept: pairsKept,
      pairs_total: pairsTotal,
      threshold,
      source: source ?? null,
      deletable: path === this.uploaded(name),
    };
  }

  /** What a vector was measured to do, as it lies in its run or beside its file. */
  async validation(name: string): Promise<VectorValidation> {
    const path = await this.existing(name);
    const { pooling } = (await PersonaVector.load(path)).metadata;
    const isRun = path !== this.uploaded(name);
    return { name, validations: await readValidations(this.folder, { name, isRun, pooling }) };
  }

  /** Cosines of the vectors that can be read with each other. */
  async cosines(layer?: number): Promise<VectorCosines> {
    const files = new Map<string, string>();
    const vectors: Comparable[] = [];
    for (const name of await nameableVectors(this.folder)) {
      const file = await this.fileOf(name);
      const outline = file === null ? null : await readable(readVectorOutline(file));
      if (file === null || outline === null) continue;
      files.set(name, file);
      const { layers, width, metadata } = outline;
      vectors.push({ name, layers, width, recommended_layer: metadata.recommendedLayer });
    }
    return compareAll(vectors, (name) => readable(PersonaVector.load(files.get(name)!)), layer);
  }

  /** A vector's file as it is; HttpFailure 404 for one that lies elsewhere, behind a link. */
  async download(name: string): Promise<Response> {
    const file = await fileInside(this.folder, relative(this.folder, await this.existing(name)));
    if (file === null)
      throw new HttpFailure(404, 'expected a file of the folder, got a link', { code: 'unknown_file' });
    const { size } = await stat(file);
    return new Response(Readable.toWeb(createReadStream(file)) as ReadableStream<Uint8Array>, {
      headers: {
        'content-type': 'application/octet-stream',
        'content-length': String(size),
        'content-disposition': `attachment; filename*=UTF-8''${encodeURIComponent(name).replaceAll("'", '%27')}.safetensors`,
        'cache-control': 'no-store',
      },
    });
  }

  /** Takes a vector in: in this package's format, or imported from `.pt` or GGUF. It is there whole or not at all. */
  async put(name: string, body: ReadableStream<Uint8Array> | null, query: UploadQuery): Promise<VectorFacts> {
    checkResourceName(name);
    const layout = ptLayouts.find((one) => one === query.layout);
    if (query.layout !== undefined && layout === undefined)
      throw new HttpFailure(400, `expected layout ${ptLayouts.join(' or ')}`, { param: 'layout' });
    await mkdir(this.folder, { recursive: true });
    await this.removeAbandoned();
    const temporary = join(this.folder, `${uploadPrefix}${randomBytes(8).toString('hex')}.tmp`);
    try {
      await receive(body, temporary, this.limits.uploadBytes);
      const { pooling, trait = name, model } = query;
      const options = defined({ layout, pooling, trait, model });
      return await this.inTurn(() => this.take(name, temporary, options));
    } finally {
      await rm(temporary, { force: true });
    }
  }

  /** What a server that was killed has left of uploads. */
  private async removeAbandoned(): Promise<void> {
    for (const name of await readdir(this.folder)) {
      if (!name.startsWith(uploadPrefix)) continue;
      const file = join(this.folder, name);
      const info = await stat(file).catch(() => null);
      if (info !== null && Date.now() - info.mtimeMs > abandonedAfter) await rm(file, { force: true });
    }
  }

  private async take(name: string, upload: string, options: ImportOptions): Promise<VectorFacts> {
    const names = await nameableVectors(this.folder);
    if (!names.includes(name) && names.length >= this.limits.vectors)
      throw new HttpFailure(409, `expected at most ${this.limits.vectors} vectors; delete some`);
    if ((await pathKind(join(this.folder, name))) !== null)
      throw new HttpFailure(409, `"${name}" is a run of \`persona extract\`; choose another name`);
    const { file, notes } = await importVector(upload, options).catch((error: unknown) => {
      throw withoutPath(error, upload);
    });
    const bytes = [...file.tensors.values()].reduce((sum, data) => sum + data.byteLength, 0);
    if (bytes > this.limits.uploadBytes)
      throw new HttpFailure(413, `expected at most ${this.limits.uploadBytes} bytes unpacked, got ${bytes}`);
    // What was measured of another vector says nothing of this one.
    await rm(sweepBeside(this.folder, name), { force: true });
    await writeVectorFile(this.uploaded(name), file);
    return { ...(await this.get(name)), notes: [...notes] };
  }

  async delete(name: string): Promise<void> {
    await this.inTurn(async () => {
      const file = await this.existing(name);
      if (file !== this.uploaded(name))
        throw new HttpFailure(409, `"${name}" is a run of \`persona extract\`, which is deleted by hand`);
      await rm(sweepBeside(this.folder, name), { force: true });
      await rm(file);
    });
  }

  private inTurn<T>(change: () => Promise<T>): Promise<T> {
    const done = this.turn.then(change);
    this.turn = done.catch(() => undefined);
    return done;
  }

  /** Where a vector lies that is no run. */
  private uploaded(name: string): string {
    return join(this.folder, `${name}.safetensors`);
  }

  private async existing(name: string): Promise<string> {
    const file = (await nameableVectors(this.folder)).includes(name) ? await this.fileOf(name) : null;
    if (file !== null) return file;
    throw new HttpFailure(404, `found no vector ${JSON.stringify(name.slice(0, 100))}`, {
      code: 'unknown_vector',
    });
  }

  private async fileOf(name: string): Promise<string | null> {
    for (const file of [join(this.folder, name, runFiles.vector), this.uploaded(name)])
      if ((await pathKind(file)) === 'file') return file;
    return null;
  }
}

/** Null for what cannot be read. */
async function readable<T>(reading: Promise<T>): Promise<T | null> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof PersonaError) return null;
    throw error;
  }
}

function checkResourceName(name: string): void {
  if (namePattern.test(name)) return;
  throw new HttpFailure(
    400,
    'expected a name of at most 64 letters, digits, "-" and "_", beginning with a letter or digit',
    {
      param: 'name',
    },
  );
}

async function receive(body: ReadableStream<Uint8Array> | null, path: string, most: number): Promise<void> {
  if (body === null) throw new HttpFailure(400, 'expected a vector file as the body, got none');
  const handle = await open(path, 'wx');
  try {
    let size = 0;
    for await (const chunk of body) {
      size += chunk.byteLength;
      if (size > most) throw new HttpFailure(413, `expected at most ${most} bytes, got more`);
      await handle.write(chunk);
    }
    if (size === 0) throw new HttpFailure(400, 'expected a vector file as the body, got no bytes');
  } finally {
    await handle.close();
  }
}

/** Where files lie here is nobody's business. */
function withoutPath(error: unknown, path: string): unknown {
  if (!(error instanceof PersonaError)) return error;
  return new HttpFailure(
    400,
    error.message.replaceAll(`"${path}"`, 'the upload').replaceAll(path, 'the upload'),
    {
      code: error.code,
    },
  );
}

function toFacts(name: string, { layers, width, metadata }: PersonaVector): VectorFacts {
  const { trait, model, pooling, recommendedLayer, recommendedStrength } = metadata;
  return {
    name,
    trait,
    model,
    layers,
    width,
    pooling,
    recommended_layer: recommendedLayer,
    recommended_strength: recommendedStrength,
  };
}
