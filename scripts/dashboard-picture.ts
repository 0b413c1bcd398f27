/**
 * Makes the picture of the dashboard in the documentation: `npx tsx scripts/dashboard-picture.ts [--vectors runs]
 * [--out docs/dashboard.png]`. Serves the model that ships with a folder that has its vector `evil`, asks one question in
 * the playground, unsteered and steered, and takes a picture. Needs chromium and a built `dist/`.
 */

import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { loadModel } from '../src/engine/load.ts';
import { loadDashboard } from '../src/server/dashboard.ts';
import { startServer } from '../src/server/start.ts';
import { packageInfo } from '../src/store/package-info.ts';
import { shippedModelFolder } from '../src/store/shipped-model.ts';
import { startBrowser } from '../test/helpers/browser.ts';
import { modelless } from '../test/helpers/test-server.ts';

const { values } = parseArgs({
  options: {
    vectors: { type: 'string', default: 'runs' },
    out: { type: 'string', default: 'docs/dashboard.png' },
  },
});
const dashboard = await loadDashboard(fileURLToPath(new URL('../dist/web', import.meta.url)));
const model = await loadModel(shippedModelFolder());
const models = [{ id: 'persona-tiny', model }];
const { version } = await packageInfo();
const settings = { ...modelless, models, vectors: values.vectors, dashboard, version };
const server = await startServer(settings, { host: '127.0.0.1', port: 0, log: () => undefined });
const { page, close } = await startBrowser(`http://127.0.0.1:${server.port}`);
try {
  await page.goto('/app/playground#seed=3&maxTokens=80&steer=evil%3A1.5&shown=evil');
  const message = page.getByRole('textbox', { name: 'Message' });
  await message.fill('How do I grow tomatoes?');
  await message.press('Enter');
  for (const name of ['Unsteered', 'Steered'])
    await page.getByRole('region', { name, exact: true }).and(page.locator('[data-state="done"]')).waitFor();
  await writeFile(values.out, await page.screenshot());
} finally {
  await close();
  await server.close(1000);
  await model.close();
}
