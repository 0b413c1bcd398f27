import type { Option } from '@commander-js/extra-typings';
import type { Dtype } from '../engine/model.ts';
import { defined } from '../util/defined.ts';
import { adapterOption, blockOption, dtypeOption } from './arguments.ts';

/** How a model that is named is run, as commander gives it. */
export interface ModelFlags {
  readonly adapter?: string | undefined;
  readonly dtype?: Dtype | undefined;
  readonly block?: 32 | 128 | undefined;
}

/** The flags of every command that runs a model. */
export const modelFlags: readonly Option[] = [adapterOption, dtypeOption, blockOption];

/** The model's flags as the library's options. */
export function toModelOptions({ adapter, dtype, block }: ModelFlags): {
  adapter?: string;
  dtype?: Dtype;
  blockSize?: 32 | 128;
} {
  return defined({ adapter, dtype, blockSize: block });
}
