import { UsageError } from '../errors.ts';

/** What computes a model: the processor, or a graphics card through one of the runtime's execution providers, by their names. */
export const devices = ['cpu', 'webgpu', 'cuda', 'coreml', 'dml'] as const;
export type Device = (typeof devices)[number];

/**
 * The device that is asked for: PERSONA_DEVICE where nothing is, else the processor.
 *
 * @throws UsageError for a name that is none of `devices`.
 */
export function deviceOf(
  given: Device | undefined,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Device {
  const name = given ?? (environment['PERSONA_DEVICE'] || 'cpu');
  const device = devices.find((known) => known === name);
  if (device !== undefined) return device;
  throw new UsageError(
    `Expected PERSONA_DEVICE to be one of ${devices.join(', ')}, got ${JSON.stringify(name)}.`,
    { details: { device: name } },
  );
}
