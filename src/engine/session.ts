import path from 'node:path';
import { InferenceSession, type Tensor } from 'onnxruntime-node';
import { EngineError, ModelError, type PersonaError } from '../errors.ts';
import { writeOnnx } from '../graph/onnx.ts';
import type { Graph } from '../graph/types.ts';
import type { Device } from './device-name.ts';
import { deviceRefusal, graphFor, sessionOptionsFor } from './device.ts';
import type { RunGate } from './run-gate.ts';

export interface SessionSettings {
  readonly threads: number;
  /** Default: the processor. */
  readonly device?: Device;
  /** Pack the weights of products for single-token steps: a slower load and twice the memory. */
  readonly packed: boolean;
  /** Results are only ever written into given memory; see `runInto`. */
  readonly into?: boolean;
  /** Further session settings of the runtime, by its own names. */
  readonly config?: Readonly<Record<string, string>>;
  /** Further options of the session, such as those of its arena and its profiler. */
  readonly options?: Omit<InferenceSession.SessionOptions, 'extra'>;
}

/** Of this thread, where it is not the main one. */
let gate: RunGate | null = null;

/** From here on this thread enters the runtime through `given` only. */
export function enterThrough(given: RunGate): void {
  gate = given;
}

function hold<T>(work: () => Promise<T>): Promise<T> {
  return gate === null ? work() : gate.hold(work);
}

/** First output of the sessions of `runInto`. */
const handOverEnd = 'hand-over end';
/** What the binding says of an output that is no tensor. */
const handOverRefusal = 'Non tensor type';

/**
 * Loads a graph into the runtime. @throws ModelError where the runtime refuses it; UsageError where its device does.
 */
export async function openSession(graph: Graph, settings: SessionSettings): Promise<InferenceSession> {
  const { device = 'cpu' } = settings;
  const folder = commonFolder(graph);
  const emptySequence = endsHandOver(settings) ? { emptySequence: handOverEnd } : {};
  const { executionProviders, config } = sessionOptionsFor(device);
  try {
    const create = (): Promise<InferenceSession> =>
      InferenceSession.create(
        writeOnnx(graphFor(graph, device), { externalFolder: folder, ...emptySequence }),
        {
          intraOpNumThreads: settings.threads,
          executionProviders,
          logSeverityLevel: device === 'cpu' ? 3 : 4,
          ...settings.options,
          extra: {
            session: {
              model_external_initializers_file_folder_path: folder,
              ...(settings.packed ? {} : { disable_prepacking: '1' }),
              ...config,
              ...settings.config,
            },
          },
        },
      );
    return await hold(create);
  } catch (cause) {
    throw await refusalOf(graph, device, cause);
  }
}

/** Only the processor has sequences; elsewhere results are handed over, beside being written. */
function endsHandOver({ into, device = 'cpu' }: SessionSettings): boolean {
  return into === true && device === 'cpu';
}

async function refusalOf(graph: Graph, device: Device, cause: unknown): Promise<PersonaError> {
  const refusal = await deviceRefusal(graph, device, messageOf(cause));
  return refusal ?? new ModelError(`the runtime refused the model: ${messageOf(cause)}`, { cause });
}

/** One run. @throws EngineError where the runtime fails. */
export async function runSession(
  session: InferenceSession,
  feeds: Record<string, Tensor>,
  fetches: Record<string, Tensor | null>,
): Promise<InferenceSession.OnnxValueMapType> {
  try {
    return await hold(() => session.run(feeds, fetches));
  } catch (cause) {
    throw new EngineError(`the runtime failed in mid-step: ${messageOf(cause)}`, { cause });
  }
}

/**
 * One run of a session opened with `into`, whose results are written into `outputs` and nowhere else: one tensor for each
 * output that is wanted.
 *
 * The runtime writes into given memory, but its Node binding then copies every output once more into new memory, to hand
 * it over: with keys and values among the outputs, the whole cache in every step, which took longer than the step. It
 * hands outputs over in the graph's order and cannot hand over a sequence; so an empty one comes first, and the binding ends there,
 * when all is written and nothing copied. A binding that can will copy again, and the results stay the same.
 * @throws EngineError where the runtime fails.
 */
export async function runInto(
  session: InferenceSession,
  feeds: Record<string, Tensor>,
  outputs: Record<string, Tensor>,
): Promise<void> {
  const end = session.outputNames.includes(handOverEnd) ? { [handOverEnd]: null } : {};
  try {
    await hold(() => session.run(feeds, { ...end, ...outputs }));
  } catch (cause) {
    if (messageOf(cause).includes(handOverRefusal)) return;
    throw new EngineError(`the runtime failed in mid-step: ${messageOf(cause)}`, { cause });
  }
}

/** The numbers of a fetched f32 tensor. */
export function floatData(tensor: Tensor | undefined): Float32Array {
  if (tensor?.data instanceof Float32Array) return tensor.data;
  throw new EngineError('expected float32 results from the runtime, got none');
}

/** The folder that holds every weight file; the runtime refuses files outside it. */
function commonFolder(graph: Graph): string {
  const files = graph.initializers.flatMap((initializer) =>
    'file' in initializer ? [initializer.file] : [],
  );
  let common = path.dirname(files[0] ?? path.sep);
  for (const file of files) {
    while (path.relative(common, file).startsWith('..')) common = path.dirname(common);
  }
  return common;
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
