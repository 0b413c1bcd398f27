/** The parts of the benchmark, one dtype after the other: two loaded models would share the machine. */

import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadModel } from '../src/engine/load.ts';
import type { Dtype, LanguageModel } from '../src/engine/model.ts';
import { loadCheckpoint } from '../src/model/checkpoint.ts';
import type { GgufType } from '../src/model/gguf-types.ts';
import { compiledCli } from '../test/helpers/build.ts';
import { writeGgufTwin } from '../test/helpers/gguf-twin.ts';
import { namedShapes, writeRandomModel } from '../test/helpers/random-model.ts';
import { runNode } from './child.ts';
import { decodePart, decodePrompt } from './decode.ts';
import type { LatencyReport } from './latency.ts';
import { extractPart, extractWork } from './extract.ts';
import { ggufParts } from './gguf.ts';
import { screenPart, screenWork } from './screen.ts';
import { alternate } from './measure.ts';
import { note } from './note.ts';
import type { BenchOptions } from './options.ts';
import type { Part } from './part.ts';
import { agreement, type Peer, startPeer } from './peer.ts';
import { prefillPart } from './prefill.ts';
import { loadProducts, type Products, type Settings } from './products.ts';
import {
  type DtypeReport,
  type Measured,
  type Origin,
  printMeasured,
  printOrigin,
  printTitle,
  type Report,
  type StartRounds,
  timed,
} from './report.ts';
import type { StartReport } from './start.ts';
import { sweepPart } from './sweep.ts';
import { type TrainMethod, trainPart } from './train.ts';

/** Rounds of loading in a process of its own. */
const startRounds = 3;
/** Rows and steps beside which timers are watched. */
const latencyWork = ['16', '64'] as const;

/** Runs every wanted part; prints each as soon as it has been measured, and saves what there is by then. */
export async function runParts(
  origin: Origin,
  options: BenchOptions,
  save: (report: Report) => void,
): Promise<void> {
  const folder = await writeModel(options);
  const peer =
    options.peer === null || !(isTimed(options) || options.only.includes('lora'))
      ? null
      : await startPeer(options.peer, folder, options.threads);
  const { shape, threads, rounds, purpose, block } = options;
  const found: Partial<Record<Dtype, DtypeReport>> = {};
  const settings = { shape, threads, rounds, purpose, block, peer: peer?.version ?? null };
  const report: Report = { ...origin, ...settings, dtypes: found };
  try {
    for (const dtype of options.dtype) {
      printTitle(shape, dtype);
      found[dtype] = { agreement: null, parts: [], start: null, latency: null, training: [] };
      for await (const measured of measure(folder, dtype, peer, options)) {
        printMeasured(measured);
        found[dtype] = withMeasured(found[dtype], measured);
        save(report);
      }
    }
  } finally {
    peer?.close();
  }
  printOrigin(report);
}

function withMeasured(report: DtypeReport, measured: Measured): DtypeReport {
  const { part, ...rest } = measured;
  return { ...report, ...rest, parts: [...report.parts, ...(part === undefined ? [] : [part])] };
}

async function writeModel({ shape, folder }: BenchOptions): Promise<string> {
  const model = join(folder, shape);
  const whole = join(model, 'whole');
  if (existsSync(whole)) return model;
  note(`writing a random ${shape} model to ${model}`);
  await writeRandomModel(model, namedShapes[shape], { seed: 0, dtype: 'F32' });
  writeFileSync(whole, 'a run that was stopped leaves no such file\n');
  return model;
}

/** Whether the engine is timed in rounds, and whether training is. */
function isTimed({ only }: BenchOptions): boolean {
  return (['prefill', 'decode', 'extract', 'sweep', 'screen', 'gguf'] as const).some((name) =>
    only.includes(name),
  );
}

function trainMethods({ only }: BenchOptions, dtype: Dtype): TrainMethod[] {
  if (dtype === 'int4') return [];
  return (['lora', 'full'] as const).filter(
    (method) => only.includes(method) && (method === 'lora' || dtype === 'fp32'),
  );
}

/** Each piece of a dtype's report, when it is there. */
async function* measure(
  folder: string,
  dtype: Dtype,
  peer: Peer | null,
  options: BenchOptions,
): AsyncGenerator<Measured> {
  const { threads, purpose, block: blockSize, only } = options;
  const settings: Settings = { threads, purpose, dtype, blockSize };
  if (isTimed(options)) yield* timeEngine(folder, settings, peer, options);
  const methods = trainMethods(options, dtype);
  for (const method of methods) yield { part: await timeTraining(folder, method, peer, settings, options) };
  if (methods.length > 0) yield { training: await measureTraining(folder, methods, settings) };
  if (only.includes('start')) yield { start: await measureStart(folder, settings, options) };
  if (only.includes('latency')) yield { latency: await measureLatency(folder, settings) };
}

async function* timeEngine(
  folder: string,
  settings: Settings,
  peer: Peer | null,
  options: BenchOptions,
): AsyncGenerator<Measured> {
  note(`${settings.dtype}: loading`);
  const longest = Math.max(decodePrompt + options.steps, extractWork.prompt + 2 * options.steps);
  const context = Math.max(2 * options.tokens, longest + 2);
  const model = await loadModel(folder, { ...settings, context });
  const products = await loadProducts(model.checkpoint, settings);
  try {
    if (peer !== null) yield { agreement: await agreement(peer, model, 64) };
    for (const part of partsOf(model, products, peer, options)) yield { part: await time(part, options) };
    if (options.only.includes('gguf')) yield* timeGguf(model, { ...settings, context }, options);
  } finally {
    await model.close();
    await products.close();
  }
}

function partsOf(
  model: LanguageModel,
  products: Products,
  peer: Peer | null,
  { only, tokens, batch, steps }: BenchOptions,
): Part[] {
  const decodes = only.includes('decode') ? batch : [];
  return [
    ...(only.includes('prefill') ? [prefillPart(model, products, peer, tokens)] : []),
    ...decodes.map((rows) => decodePart(model, products, peer, { batch: rows, steps })),
    ...(only.includes('extract') ? [extractPart(model, peer, { ...extractWork, reply: 2 * steps })] : []),
    ...(only.includes('sweep') ? [sweepPart(model, steps)] : []),
    ...(only.includes('screen') ? [screenPart(model, peer, { ...screenWork, reply: 2 * steps })] : []),
  ];
}

/** Types whose blocks the runtime takes as they are; without blocks of its own it has them unpacked. */
const ggufTypes: Readonly<Record<Dtype, GgufType>> = { fp32: 'Q8_0', int8: 'Q8_0', int4: 'Q4_0' };

async function* timeGguf(
  model: LanguageModel,
  settings: Settings & { readonly context: number },
  options: BenchOptions,
): AsyncGenerator<Measured> {
  const { folder } = model.checkpoint;
  const type = ggufTypes[settings.dtype];
  const file = `${folder}.${type}.gguf`;
  note(`${settings.dtype}: writing the model as GGUF of ${type}`);
  await writeGgufTwin(folder, file, type);
  const twin = await loadModel(file, settings);
  try {
    for (const part of ggufParts(twin, model, type, options)) yield { part: await time(part, options) };
  } finally {
    await twin.close();
  }
}

async function time(part: Part, { rounds }: BenchOptions): Promise<DtypeReport['parts'][number]> {
  const timings = await alternate(part, rounds, (round) =>
    note(
      `${part.title}: ${round <= 0 ? `warming up ${part.variants.length} variants` : `round ${round} of ${rounds}`}`,
    ),
  );
  return timed(part, timings);
}

/** Trained weights are run-time inputs and frozen ones are read in place, so the products are unpacked too. */
async function timeTraining(
  folder: string,
  method: TrainMethod,
  peer: Peer | null,
  settings: Settings,
  options: BenchOptions,
): Promise<DtypeReport['parts'][number]> {
  note(`${settings.dtype}: loading to train`);
  const checkpoint = await loadCheckpoint(folder);
  const products = await loadProducts(checkpoint, { ...settings, purpose: 'one-pass' });
  const { part, trainer } = await trainPart(checkpoint, products, peer, method, settings);
  try {
    return await time(part, options);
  } finally {
    await trainer.close();
    await products.close();
  }
}

async function measureTraining(
  folder: string,
  methods: readonly TrainMethod[],
  settings: Settings,
): Promise<DtypeReport['training']> {
  const found: DtypeReport['training'][number][] = [];
  for (const method of methods) {
    note(`${settings.dtype}: memory of training, ${method}`);
    const file = join(import.meta.dirname, 'train-memory.ts');
    const args = ['--import', 'tsx', file, folder, JSON.stringify(settings), method];
    const { peak, peakAnonymous } = await runNode(args);
    found.push({ method, peak, peakAnonymous });
  }
  return found;
}

/** The first round reads the files into the system's cache, and for short weights quantises them; it does not count. */
async function measureStart(
  folder: string,
  settings: Settings,
  { quick }: BenchOptions,
): Promise<StartRounds> {
  const rounds: StartReport[] = [];
  for (let round = 0; round <= (quick ? 1 : startRounds); round++) {
    note(`${settings.dtype}: ${round === 0 ? 'a first start' : `start ${round}`}`);
    const { stdout } = await runChild('start.ts', folder, settings, ['64']);
    if (round > 0) rounds.push(JSON.parse(stdout) as StartReport);
  }
  return rounds;
}

async function measureLatency(folder: string, settings: Settings): Promise<LatencyReport> {
  note(`${settings.dtype}: timers beside a busy worker`);
  const { stdout } = await runChild('latency.ts', folder, settings, latencyWork);
  return JSON.parse(stdout) as LatencyReport;
}

function runChild(script: string, folder: string, settings: Settings, rest: readonly string[]) {
  const module = join(compiledCli(), '../../engine/load.js');
  const file = join(import.meta.dirname, script);
  return runNode(['--import', 'tsx', file, module, folder, JSON.stringify(settings), ...rest]);
}
