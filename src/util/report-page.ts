import { SafeHtml, html } from './html.ts';
import { pageStyle } from './page-style.ts';

export interface ReportPage {
  /** Of the window. */
  readonly title: string;
  /** What kind of page it is, in small letters above the heading. */
  readonly overline: string;
  readonly heading: SafeHtml | string;
  /** What stands below the heading. */
  readonly body: SafeHtml;
}

/**
 * A report: one HTML page without scripts that asks for nothing from elsewhere. What comes from outside is escaped by
 * `html`, and a content policy forbids what would slip through.
 */
export function reportPage({ title, overline, heading, body }: ReportPage): string {
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

/** One number of a `<dl class="tiles">`, with its name above and what explains it below. */
export function tile(name: string, value: string, below: string): SafeHtml {
  return html`<div class="tile"><dt>${name}</dt><dd>${value}<small>${below}</small></dd></div>`;
}
