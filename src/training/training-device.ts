import { deviceOf } from '../engine/device-name.ts';
import { UsageError } from '../errors.ts';

/**
 * Refuses a device that training does not run on: gradients are tried on the processor alone. What trains asks before it
 * writes or loads anything.
 *
 * @param advice What else can be done, behind a semicolon.
 * @throws UsageError where PERSONA_DEVICE, which `--device` sets, is another.
 */
export function requireTrainingDevice(advice = 'leave --device and PERSONA_DEVICE out'): void {
  const device = deviceOf(undefined);
  if (device === 'cpu') return;
  throw new UsageError(
    `Expected the device cpu for training, which runs on no other, got ${device}; ${advice}.`,
    { details: { device } },
  );
}
