import { fileURLToPath } from 'node:url';

/** Folder of the small base model that ships for tests. */
export const storiesModel: string = fileURLToPath(new URL('../../models/stories260K', import.meta.url));
