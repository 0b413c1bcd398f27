/**
 * Whether a token with this text ends a sentence: white space and closing quotes and brackets aside it ends in one of
 * `. ! ? … 。 ！ ？`, or it holds a line break. The rule looks at one token alone, so "Mr." and "3." end sentences too,
 * and a mark that is spelled with several byte tokens ends none. It defines the `boundary` positions of a reply.
 */
export function endsSentence(text: string): boolean {
  if (/[\n\r]/u.test(text)) return true;
  return /[.!?\u2026\u3002\uff01\uff1f]$/u.test(text.replace(/[\s\p{Pe}\p{Pf}"'`]+$/u, ''));
}
