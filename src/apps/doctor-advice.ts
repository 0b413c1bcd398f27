import type { DoctorReport } from './doctor.ts';
import type { ProcessorFeature } from './machine.ts';

/** What advice is given by: the report before it has any. */
export type DoctorFacts = Omit<DoctorReport, 'advice'>;

/** Says what would be slow here or go wrong, and why; the gravest first. */
export function adviceFor(facts: DoctorFacts): string[] {
  return rules.map((rule) => rule(facts)).filter((sentence) => sentence !== null);
}

type Rule = (facts: DoctorFacts) => string | null;

/** Operations of a forward pass per token and parameter: one multiplication, one addition. */
const operationsPerParameter = 2;
/** With less free memory than this, in bytes, a model of 7 B parameters does not fit in int8. */
const fewBytes = 11e9;
/** With less free on the disk than this, in bytes, a model of 7 B parameters cannot be downloaded. */
const fewDiskBytes = 16e9;

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;
const tokens = (rate: number): string => (rate >= 10 ? rate.toFixed(0) : rate.toFixed(1));

const rules: readonly Rule[] = [
  ({ runtime }) =>
    runtime.works
      ? null
      : 'No command that runs a model works: the tensor runtime does not load. Install the package again on this machine (a copy from another system brings the wrong library).',
  ({ productRate }) => {
    if (productRate === null) return null;
    const rate = (parameters: number): number =>
      (1e9 * productRate.gigaflops) / (operationsPerParameter * parameters);
    if (rate(7e9) >= 100) return null;
    return `Large models: in fp32 the measured rate lets a model of 7 B parameters read at most ${tokens(rate(7e9))} tokens/s, one of 0.5 B ${tokens(rate(0.5e9))}; try things out on a small one first.`;
  },
  ({ machine: { load, cores } }) =>
    load <= cores
      ? null
      : `Everything at this moment: ${load.toFixed(1)} processes want to run on ${cores} cores, so the measured rate may be far below the machine's.`,
  ({ machine: { cores } }) =>
    cores > 2
      ? null
      : `Everything: there ${cores === 1 ? 'is 1 core' : `are ${cores} cores`}, and products take time in inverse proportion.`,
  ({ machine: { coreQuota }, threads }) =>
    coreQuota === null || threads <= Math.max(1, coreQuota)
      ? null
      : `Everything: ${threads} threads share ${coreQuota} cores' worth of time that this container has, and wait for each other; set PERSONA_THREADS=${Math.max(1, Math.floor(coreQuota))}.`,
  ({ machine: { cores }, threads }) =>
    threads <= cores
      ? null
      : `Everything: PERSONA_THREADS asks for ${threads} threads on ${cores} cores, which wait for each other.`,
  ({ machine }) =>
    machine.features === null ? null : missingFeature(machine.platform, new Set(machine.features)),
  ({ machine: { memory }, largestModel }) =>
    memory.available >= fewBytes
      ? null
      : `Models of 7 B parameters: ${gigabytes(memory.available)} of memory are free, enough for ${(largestModel.int8 / 1e9).toFixed(1)} B parameters in int8.`,
  ({ caches }) => {
    const cache = caches.find(({ freeBytes }) => freeBytes !== null && freeBytes < fewDiskBytes);
    return cache === undefined
      ? null
      : `Downloads of large models: ${gigabytes(cache.freeBytes ?? 0)} are free on the disk of "${cache.folder}"; HF_HUB_CACHE and PERSONA_CACHE name other folders.`;
  },
  ({ caches }) => {
    const bytes = caches.reduce((sum, { unfinishedBytes }) => sum + unfinishedBytes, 0);
    return bytes === 0
      ? null
      : `Unfinished downloads hold ${gigabytes(bytes)}; "persona pull" of the same models goes on with them.`;
  },
  ({ environment }) =>
    environment.includes('HF_HUB_OFFLINE') || environment.includes('TRANSFORMERS_OFFLINE')
      ? '"persona pull" may be forbidden to download: HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set.'
      : null,
  ({ environment }) =>
    (environment.includes('HTTPS_PROXY') || environment.includes('HTTP_PROXY')) &&
    !environment.includes('NODE_USE_ENV_PROXY')
      ? 'Downloads and judges do not go through the proxy that is set: Node takes it from Node 24 on, with NODE_USE_ENV_PROXY=1.'
      : null,
];

/** The most telling instruction that the processor lacks. */
function missingFeature(platform: string, features: ReadonlySet<ProcessorFeature>): string | null {
  if (platform.endsWith('x64')) {
    if (!features.has('avx2'))
      return 'Everything: the processor has no AVX2, on which the fast kernels are built.';
    if (!features.has('avx512'))
      return 'Products: the processor has no AVX-512, so that fp32 runs on half the width, and int8 and int4 on narrower kernels.';
    if (!features.has('vnni'))
      return 'int8 and int4: the processor has no VNNI, so that their products take more steps; measure whether they beat fp32 here.';
    return null;
  }
  if (platform.endsWith('arm64') && !features.has('dotprod'))
    return 'int8 and int4: the processor has no dot products of bytes, so that they are slower than they could be.';
  return null;
}
