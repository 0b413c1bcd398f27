import { env, InferenceSession, listSupportedBackends, Tensor } from 'onnxruntime-node';
import { GraphBuilder } from '../graph/graph.ts';
import { writeOnnx } from '../graph/onnx.ts';
import { randomStream } from '../util/random.ts';

/** The tensor runtime of this installation. */
export interface RuntimeFacts {
  readonly version: string;
  /** Execution providers in the package, by the names of devices. */
  readonly providers: readonly string[];
}

/** What the runtime says of itself. Importing this file loads its native library. */
export function describeRuntime(): RuntimeFacts {
  const providers = listSupportedBackends().filter(({ bundled }) => bundled);
  return { version: env.versions.node ?? env.versions.common, providers: providers.map(({ name }) => name) };
}

/** How fast this machine multiplies. */
export interface ProductRate {
  /** 10⁹ operations a second; a multiplication and its addition are two. */
  readonly gigaflops: number;
  readonly threads: number;
}

/** `[rows, inner] × [inner, columns]`: the size of a real model's layer, which one core still does in some tenths of a second. */
const shape = { rows: 512, inner: 2048, columns: 2048 } as const;

/**
 * Measures fp32 products for about `seconds`, the first one left out, and gives the rate of the fastest: what else the
 * machine does can only slow one down.
 */
export async function measureProductRate(threads: number, seconds: number): Promise<ProductRate> {
  const { rows, inner, columns } = shape;
  const session = await InferenceSession.create(productGraph(), {
    executionProviders: ['cpu'],
    intraOpNumThreads: threads,
    logSeverityLevel: 3,
  });
  try {
    const feeds = { x: new Tensor('float32', noise('x', rows * inner), [rows, inner]) };
    await session.run(feeds);
    let fastest = Infinity;
    const end = performance.now() + 1000 * seconds;
    do {
      const start = performance.now();
      await session.run(feeds);
      fastest = Math.min(fastest, performance.now() - start);
    } while (performance.now() < end);
    return { gigaflops: (2 * rows * inner * columns) / fastest / 1e6, threads };
  } finally {
    await session.release();
  }
}

function productGraph(): Uint8Array {
  const { inner, columns } = shape;
  const g = new GraphBuilder('product');
  const weight = g.constant('weight', noise('weight', columns * inner), [columns, inner]);
  g.output('y', g.matMul(g.input('x', 'f32', ['row', inner]), weight, { transposeB: true }));
  return writeOnnx(g.build(), { externalFolder: '/' });
}

/** Numbers of ordinary size: zeros and subnormals take other times. A few thousand, repeated, are drawn soon. */
function noise(name: string, length: number): Float32Array {
  const stream = randomStream('product rate', name);
  const some = Float32Array.from({ length: 4093 }, () => stream.uniform() - 0.5);
  return Float32Array.from({ length }, (_, i) => some[i % some.length]!);
}
