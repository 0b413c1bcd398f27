/** Servers on this machine that speak the wire formats of OpenAI's chat completions and Anthropic's messages. */

import { createServer } from 'node:http';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

/** A request as the server saw it. */
export interface AskedRequest {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Readonly<Record<string, unknown>>;
  /** What the last turn says. */
  readonly prompt: string;
  /** Counts all requests, from 1. */
  readonly number: number;
}

/** What the model behind the server says. */
export interface Said {
  readonly text?: string;
  /** The most likely first tokens with their probabilities; without them the answer has no log-probabilities. */
  readonly tokens?: readonly (readonly [string, number])[];
  /** Says nothing, because it is filtered or the model declines. */
  readonly refused?: boolean;
  /** Breaks off at the token limit. */
  readonly cutOff?: boolean;
}

/** What goes wrong with a request instead of an answer. */
export type Trouble =
  | {
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      /** An object is sent as JSON. */
      readonly body?: object | string;
    }
  /** Takes the request and never answers. */
  | 'stall'
  /** Sends half of an answer and cuts the connection. */
  | 'cut';

export interface LoopbackProviderOptions {
  readonly say: (request: AskedRequest) => Said;
  readonly trouble?: (request: AskedRequest) => Trouble | undefined;
  /** Answers only once this is fulfilled. */
  readonly before?: (request: AskedRequest) => Promise<void>;
}

export interface LoopbackProvider {
  /** Such as `http://127.0.0.1:40000/v1`. */
  readonly base: string;
  readonly requests: readonly AskedRequest[];
  /** Most requests that were under way at once. */
  readonly mostAtOnce: () => number;
  /** Stops before the test ends. */
  readonly close: () => Promise<void>;
}

/** Starts a server that stops when the running test ends. */
export async function startLoopbackProvider(options: LoopbackProviderOptions): Promise<LoopbackProvider> {
  const requests: AskedRequest[] = [];
  let [underWay, most] = [0, 0];
  const server = createServer((request, response) => {
    most = Math.max(most, ++underWay);
    response.on('close', () => underWay--);
    void serve(request, response, requests, options);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = async (): Promise<void> => {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  };
  onTestFinished(close);
  return { base: `http://127.0.0.1:${port}/v1`, requests, mostAtOnce: () => most, close };
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  requests: AskedRequest[],
  { say, trouble, before }: LoopbackProviderOptions,
): Promise<void> {
  const text = await readText(request);
  const body = JSON.parse(text) as AskedRequest['body'];
  const turns = body['messages'] as { role: string; content: string }[];
  const asked: AskedRequest = {
    path: request.url ?? '',
    headers: request.headers,
    body,
    prompt: turns.at(-1)!.content,
    number: requests.length + 1,
  };
  requests.push(asked);
  await before?.(asked);
  const wrong = trouble?.(asked);
  if (wrong === 'stall') return;
  const answer = answerOf(asked, say);
  if (wrong === 'cut') {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '4000' });
    response.write(JSON.stringify(answer.body).slice(0, 40), () => response.destroy());
    return;
  }
  const { status, headers = {}, body: sent = answer.body } = wrong ?? { status: answer.status };
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(typeof sent === 'string' ? sent : JSON.stringify(sent));
}

async function readText(request: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  return Buffer.concat(pieces).toString('utf8');
}

function answerOf(
  asked: AskedRequest,
  say: LoopbackProviderOptions['say'],
): { status: number; body: object } {
  if (asked.path === '/v1/messages') return { status: 200, body: anthropicAnswer(asked, say(asked)) };
  if (asked.path !== '/v1/chat/completions') {
    return {
      status: 404,
      body: { error: { message: `no ${asked.path} here`, type: 'not_found', code: null } },
    };
  }
  const unsupported = reasoningRefusal(asked.body);
  return unsupported ?? { status: 200, body: openAiAnswer(asked, say(asked)) };
}

/** What OpenAI answers to a reasoning model's request that asks for log-probabilities. */
function reasoningRefusal({
  model,
  logprobs,
}: AskedRequest['body']): { status: number; body: object } | null {
  if (!/^o\d/.test(String(model)) || logprobs !== true) return null;
  const message = "Unsupported parameter: 'logprobs' is not supported with this model.";
  return {
    status: 400,
    body: {
      error: { message, type: 'invalid_request_error', param: 'logprobs', code: 'unsupported_parameter' },
    },
  };
}

function openAiAnswer({ body, number }: AskedRequest, { text, tokens, refused, cutOff }: Said): object {
  const said = text ?? tokens?.[0]?.[0] ?? '';
  const top = tokens?.map(([token, p]) => ({
    token,
    logprob: Math.log(p),
    bytes: [...Buffer.from(token, 'utf8')],
  }));
  const content = top === undefined ? null : top.length === 0 ? [] : [{ ...top[0], top_logprobs: top }];
  return {
    id: `chatcmpl-${number}`,
    object: 'chat.completion',
    created: 1_764_000_000,
    model: body['model'],
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: refused === true ? null : said, refusal: null },
        logprobs: body['logprobs'] === true && content !== null ? { content, refusal: null } : null,
        finish_reason: refused === true ? 'content_filter' : cutOff === true ? 'length' : 'stop',
      },
    ],
    usage: { prompt_tokens: 300, completion_tokens: 1, total_tokens: 301 },
    system_fingerprint: 'fp_loopback',
  };
}

function anthropicAnswer({ body, number }: AskedRequest, { text = '', refused, cutOff }: Said): object {
  const [tool] = (body['tools'] ?? []) as { name: string }[];
  const content =
    tool === undefined
      ? [{ type: 'text', text }]
      : [{ type: 'tool_use', id: `toolu_${number}`, name: tool.name, input: JSON.parse(text) as unknown }];
  const reason = tool === undefined ? 'end_turn' : 'tool_use';
  return {
    id: `msg_${number}`,
    type: 'message',
    role: 'assistant',
    model: body['model'],
    content: refused === true ? [] : content,
    stop_reason: refused === true ? 'refusal' : cutOff === true ? 'max_tokens' : reason,
    stop_sequence: null,
    usage: { input_tokens: 300, output_tokens: 4 },
  };
}
