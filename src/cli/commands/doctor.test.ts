import { describe, expect, it } from 'vitest';
import { describeReport } from './doctor.ts';
import type { DoctorReport } from '../../apps/doctor.ts';
import { runCli } from '../../../test/helpers/cli.ts';
import { temporaryFolder } from '../../../test/helpers/temporary-folder.ts';

/** Makes the runtime fail to load, as a missing system library does. */
const brokenRuntime = ((): string => {
  const hook = `export async function resolve(name, context, next) {
    if (name === 'onnxruntime-node') throw new Error('libonnxruntime.so.1: cannot open shared object file');
    return next(name, context);
  }`;
  const dataUrl = (code: string): string => `data:text/javascript,${encodeURIComponent(code)}`;
  return `--import=${dataUrl(`import { register } from 'node:module'; register(${JSON.stringify(dataUrl(hook))});`)}`;
})();

const report: DoctorReport = {
  version: '1.2.3',
  node: '20.19.0',
  threads: 2,
  machine: {
    platform: 'linux x64',
    processor: 'Some \u001B[31mCPU',
    cores: 2,
    coreQuota: 1.5,
    features: ['avx2', 'avx512'],
    memory: { total: 24e9, available: 20e9 },
    load: 0.5,
  },
  runtime: { works: true, version: '1.30.0', providers: ['cpu', 'webgpu'] },
  device: { name: 'cpu', problem: null },
  productRate: { gigaflops: 165.4, threads: 2 },
  largestModel: { fp32: 4e9, fp32Generate: 2e9, int8: 14.2e9, int4: 25.6e9 },
  caches: [
    { name: 'models', folder: '/m', files: 1234, bytes: 5e9, unfinishedBytes: 1e9, freeBytes: 1e11 },
    { name: 'own', folder: '/o', files: 0, bytes: 0, unfinishedBytes: 0, freeBytes: null },
  ],
  environment: ['HF_TOKEN'],
  advice: ['First.', 'Second.'],
};

describe('describeReport', () => {
  it('puts the findings under each other, and what is slow below', () => {
    expect(describeReport(report)).toBe(
      [
        'persona         1.2.3 on Node 20.19.0, linux x64',
        'runtime         ONNX Runtime 1.30.0, with cpu, webgpu; models run on cpu',
        'processor       Some \uFFFD[31mCPU, 2 cores, limited to the time of 1.5',
        'instructions    AVX2, AVX-512',
        'memory          20.0 GB free of 24.0 GB',
        'products, fp32  165 GFLOP/s on 2 threads, measured now',
        'largest model   4.0 B parameters in fp32 (2.0 B to generate), 14.2 B in int8, 25.6 B in int4',
        'models          /m: 5.0 GB in 1,234 files (1.0 GB unfinished), 100.0 GB free',
        'own cache       /o: empty',
        'environment     HF_TOKEN set',
        '',
        'Slow or in the way here',
        '- First.',
        '- Second.',
        '',
      ].join('\n'),
    );
  });

  it('says what is not known, and that all is well', () => {
    const machine = { ...report.machine, features: null };
    const text = describeReport({ ...report, machine, productRate: null, environment: [], advice: [] });
    expect(text).toMatch(/instructions +not told by this system\n/);
    expect(text).toMatch(/products, fp32 +not measured\n/);
    expect(text).toMatch(/environment +nothing set\n\nNothing here would be slow without need\.\n$/);
  });
});

describe('persona doctor', () => {
  it('prints its findings, and never a token', async () => {
    const env = { HF_TOKEN: 'hf_secret', PERSONA_THREADS: '1', HOME: await temporaryFolder() };
    const result = await runCli(['doctor'], { env });
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(result.stdout).toMatch(
      /^persona .*\nruntime +ONNX Runtime \d[^]*\nproducts, fp32 +\d+ GFLOP\/s on 1 thread, /,
    );
    expect(result.stdout).toMatch(/\nenvironment .*HF_TOKEN/);
    expect(result.stdout).not.toContain('hf_secret');
  });

  it('prints all it finds and fails in one sentence where the runtime does not load', async () => {
    const result = await runCli(['doctor', '--json'], {
      env: { NODE_OPTIONS: brokenRuntime, HOME: await temporaryFolder() },
    });
    expect(result.code).toBe(2);
    expect(result.stderr).toBe(
      'error: Expected the tensor runtime to load, got: libonnxruntime.so.1: cannot open shared object file; install the package again on this machine.\n',
    );
    const found = JSON.parse(result.stdout) as DoctorReport;
    expect(found).toMatchObject({ runtime: { works: false }, productRate: null });
    expect(found.advice[0]).toMatch(/^No command that runs a model works/);
  });
});
