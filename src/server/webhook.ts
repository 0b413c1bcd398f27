import { createHmac } from 'node:crypto';
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { UsageError } from '../errors.ts';
import type { Letter } from '../store/monitor/outbox.ts';
import type { Courier, Outcome } from './outbox.ts';
import { type AllowedHosts, checkedLookup, hostAtAddress } from '../util/http/allowed-hosts.ts';
import { checkWebhook } from './webhook-url.ts';

/** Milliseconds that a receiver has to answer. */
const answerTime = 10_000;
/** Webhooks under way at once. */
const atOnce = 8;
const leastSecret = 24;
const prefix = 'whsec_';

/**
 * The key of signatures: `whsec_` and base64, as Standard Webhooks writes it.
 *
 * @throws UsageError for one that is missing, malformed or short.
 */
export function parseWebhookSecret(text: string | undefined): Buffer {
  const given = text?.trim() ?? '';
  const key = Buffer.from(given.startsWith(prefix) ? given.slice(prefix.length) : '', 'base64');
  if (key.byteLength >= leastSecret) return key;
  throw new UsageError(
    `Expected PERSONA_WEBHOOK_SECRET to be ${prefix} and at least ${leastSecret} bytes in base64, by which receivers know that a webhook is from here; make one with \`echo ${prefix}$(openssl rand -base64 32)\`.`,
  );
}

/** The headers of Standard Webhooks 1.0: what is signed is the id, the time in seconds and the body. */
export function webhookHeaders(
  key: Buffer,
  { id, body, seconds }: { readonly id: string; readonly body: string; readonly seconds: number },
): Record<string, string> {
  const signature = createHmac('sha256', key).update(`${id}.${seconds}.${body}`).digest('base64');
  return { 'webhook-id': id, 'webhook-timestamp': String(seconds), 'webhook-signature': `v1,${signature}` };
}

/** Sends alerts to the addresses of their policies. */
export function webhookCourier(hosts: AllowedHosts, key: Buffer): Courier {
  return {
    kind: 'webhook',
    atOnce,
    deliver: (letters) => Promise.all(letters.map((letter) => send(letter, hosts, key))),
  };
}

async function send(letter: Letter, hosts: AllowedHosts, key: Buffer): Promise<Outcome> {
  try {
    // Hosts may be others than when the policy was made.
    checkWebhook(hosts, letter.target);
    const status = await post(letter, hosts, key);
    if (status >= 200 && status < 300) return { sent: true };
    // Redirects are not followed: they would lead where nobody has allowed.
    return { sent: false, error: `status ${status}`, over: status === 410 };
  } catch (error) {
    const over = error instanceof UsageError;
    return { sent: false, error: error instanceof Error ? error.message : String(error), over };
  }
}

function post({ id, target, body, attempt }: Letter, hosts: AllowedHosts, key: Buffer): Promise<number> {
  const url = new URL(target);
  const seconds = Math.floor(Date.now() / 1000);
  const request = url.protocol === 'https:' ? requestHttps : requestHttp;
  return new Promise((resolve, reject) => {
    const sending = request(
      url,
      {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
          'user-agent': 'persona-vectors',
          'persona-attempt': String(attempt),
          ...webhookHeaders(key, { id, body, seconds }),
        },
        agent: false,
        lookup: checkedLookup(
          (address) => hosts.mayConnect(url, address),
          (address) => refusedAddress(url, address),
        ),
        signal: AbortSignal.timeout(answerTime),
      },
      (response) => {
        resolve(response.statusCode ?? 0);
        // What it says is of no interest, however long it is.
        response.destroy();
      },
    );
    sending.on('error', reject);
    sending.end(body);
  });
}

function refusedAddress(url: URL, address: string): Error {
  return new Error(
    `${url.hostname} is ${address}, which is no public address; allow it with --allow-webhook ${hostAtAddress(url, address)}`,
  );
}
