import { fileURLToPath } from 'node:url';

/** The chat model that comes with the package; every command uses it where no other is named. */
export const SHIPPED_MODEL = 'persona-tiny';

/** Its folder. */
export function shippedModelFolder(): string {
  // The same two steps up from `src/store` and from the built `dist/store`.
  return fileURLToPath(new URL(`../../models/${SHIPPED_MODEL}`, import.meta.url));
}
