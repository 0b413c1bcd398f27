/** What the runtime's execution providers can do here, and what is done so that they can do more. */

import { InferenceSession, listSupportedBackends } from 'onnxruntime-node';
import { EngineError, UsageError } from '../errors.ts';
import { writeOnnx } from '../graph/onnx.ts';
import { portableGraph } from '../graph/portable.ts';
import type { Graph, GraphNode } from '../graph/types.ts';
import { type Device, devices } from './device-name.ts';

/** Providers that know all ops of our graphs; others get some of them written out. */
const fluent: ReadonlySet<Device> = new Set(['cpu', 'cuda', 'dml']);

/** Devices whose providers this build of the runtime has; whether there is a card to use, opening one tells. */
export interface DeviceList {
  readonly builtIn: readonly Device[];
  /** Once the user has installed their libraries. */
  readonly addable: readonly Device[];
}

export function listDevices(): DeviceList {
  const backends = new Map(listSupportedBackends().map(({ name, bundled }) => [name, bundled]));
  return {
    builtIn: devices.filter((device) => backends.get(device) === true),
    addable: devices.filter((device) => backends.get(device) === false),
  };
}

/** Tries a device with the smallest graph there is. @throws UsageError where it is not there, saying why. */
export async function tryDevice(device: Device): Promise<void> {
  requireDevice(device);
  const type = { dtype: 'f32', shape: [1] } as const;
  const [x, y] = [
    { id: 0, name: 'x', type },
    { id: 1, name: 'y', type },
  ];
  const node: GraphNode = { op: 'add', inputs: [x, x], outputs: [y], attributes: {} };
  const graph: Graph = { name: 'trial', inputs: [x], initializers: [], nodes: [node], outputs: [y] };
  const problem = await openingProblem(graph, device);
  if (problem === null) return;
  const refusal = await deviceRefusal(graph, device, problem);
  throw refusal ?? new EngineError(`the runtime cannot use the device ${device}: ${problem}`);
}

/** @throws UsageError where this build of the runtime cannot use a device, saying which it can. */
export function requireDevice(device: Device): void {
  const { builtIn, addable } = listDevices();
  if (builtIn.includes(device) || addable.includes(device)) return;
  throw new UsageError(
    `Expected a device that onnxruntime-node has on this system (${[...builtIn, ...addable].join(', ')}), got ${device}; choose one of these.`,
    { details: { device } },
  );
}

/** The graph as a device's provider knows it. */
export function graphFor(graph: Graph, device: Device): Graph {
  return fluent.has(device) ? graph : portableGraph(graph);
}

/** Fewest directions of an edit: a product over an axis of length 0 ends the process in version 1.30 of the WebGPU provider. */
export function leastDirections(device: Device = 'cpu'): number {
  return device === 'cpu' ? 0 : 4;
}

/** Options of a session on a device; nothing is moved to the processor unasked. */
export function sessionOptionsFor(device: Device): {
  readonly executionProviders: readonly string[];
  readonly config: Readonly<Record<string, string>>;
} {
  const config = device === 'cpu' ? {} : { disable_cpu_ep_fallback: '1' };
  return { executionProviders: [device], config };
}

/** Why a session could not be opened on a device, in a sentence; null where the device is not the reason. */
export async function deviceRefusal(
  graph: Graph,
  device: Device,
  problem: string,
): Promise<UsageError | null> {
  if (device === 'cpu') return null;
  const details = { device, problem: problem.slice(0, 500) };
  if (/WebGPU adapter|No supported adapters/.test(problem))
    return new UsageError(
      'Expected a graphics card for the device webgpu, got none that the system shows; install its driver (on Linux a Vulkan driver and libvulkan1, which VK_ICD_FILENAMES can name), or choose the device cpu.',
      { details },
    );
  if (problem.includes('fallback to CPU EP has been explicitly disabled')) {
    const missing = await opsWithout(graphFor(graph, device), device);
    return new UsageError(
      `Expected the device ${device} to run all of the model, but it cannot run ${missing.join(', ') || 'some of it'}; nothing is moved to the processor unasked, so choose the device cpu.`,
      { details },
    );
  }
  if (/Failed to load library|providers_(?:shared|cuda)|CUDA|no EP|not available/i.test(problem))
    return new UsageError(
      `Expected the libraries of the device ${device} beside onnxruntime-node, got none that load; install them (for cuda: CUDA 12, cuDNN 9, and npm rebuild onnxruntime-node with ONNXRUNTIME_NODE_INSTALL=cuda12), or choose the device cpu.`,
      { details },
    );
  return null;
}

/** Ops of a graph that a device's provider lacks, found by opening each of them alone. */
async function opsWithout(graph: Graph, device: Device): Promise<string[]> {
  const kinds = new Map<string, GraphNode>();
  for (const node of graph.nodes) {
    const types = node.inputs.map((value) => value?.type.dtype ?? 'none').join(' ');
    kinds.set(`${node.op} of ${types}`, node);
  }
  const missing: string[] = [];
  for (const [name, node] of kinds) {
    const inputs = [...new Set(node.inputs.filter((value) => value !== null))];
    const alone: Graph = { name: node.op, inputs, initializers: [], nodes: [node], outputs: node.outputs };
    if ((await openingProblem(alone, device)) !== null) missing.push(name);
  }
  return missing;
}

/** What the runtime says where it cannot open a graph; null where it can. */
async function openingProblem(graph: Graph, device: Device): Promise<string | null> {
  const { executionProviders, config } = sessionOptionsFor(device);
  try {
    const session = await InferenceSession.create(writeOnnx(graph, { externalFolder: '/' }), {
      executionProviders,
      logSeverityLevel: 4,
      extra: { session: config },
    });
    await session.release();
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
