import { SafeHtml, html } from './html.ts';
import { pageStyle } from './page-style.ts';

export interface HtmlPage {
  readonly title: string;
  /** What kind of page it is, in small letters above the heading. */
  readonly overline: string;
  readonly heading: string;
  readonly body: SafeHtml;
}

/**
 * A report as one HTML page without scripts that asks for nothing from elsewhere: what comes from outside is escaped by
 * `html`, and a content policy forbids what would slip through.
 */
export function htmlPage({ title, overline, heading, body }: HtmlPage): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${title}</title>
<style>${new SafeHtml(pageStyle)}</style>
</head>
<body>
<main>
<p class="overline">${overline}</p>
<h1>${heading}</h1>
${body}
</main>
</body>
</html>
`.text;
}
