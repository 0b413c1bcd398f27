import { SafeHtml, html } from './html.ts';
import { pageStyle } from './page-style.ts';

/**
 * A report: one HTML page without scripts that asks for nothing from elsewhere; a content policy forbids what would slip
 * through. `style` is ours, never from outside.
 */
export function reportPage(title: string, body: SafeHtml, style = ''): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${title}</title>
<style>${new SafeHtml(pageStyle + style)}</style>
</head>
<body>
<main>
${body}
</main>
</body>
</html>
`.text;
}
