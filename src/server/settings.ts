import type { LanguageModel } from '../engine/model.ts';
import type { Dashboard } from './dashboard.ts';
import type { ApiKeys } from './keys.ts';
import type { MonitorSettings } from './monitor-settings.ts';
import type { RunSettings } from './run-settings.ts';

/** What bounds a request and the server. */
export interface Limits {
  /** Bytes of a JSON body. */
  readonly bodyBytes: number;
  /** Bytes of a vector that is uploaded. */
  readonly uploadBytes: number;
  /** Replies under way at once, waiting ones among them; more are refused with 503. */
  readonly replies: number;
  /** Most new tokens of one reply. */
  readonly maxTokens: number;
  /** Most tokens of prompt and reply together; null is what the model can. */
  readonly context: number | null;
  /** Requests a minute from one key or address; null is no limit. */
  readonly requestsPerMinute: number | null;
  /** Seconds that one request may take, once it has come. */
  readonly seconds: number;
  /** Seconds in which all of a request must have come. */
  readonly sendSeconds: number;
  /** Connections at once. */
  readonly connections: number;
  /** Bytes of a stream that may wait for its client; whoever is further behind is cut off. */
  readonly waitingBytes: number;
  /** Vectors in the folder. */
  readonly vectors: number;
}

export const defaultLimits: Limits = {
  bodyBytes: 1024 * 1024,
  uploadBytes: 64 * 1024 * 1024,
  replies: 256,
  maxTokens: 4096,
  context: null,
  requestsPerMinute: null,
  seconds: 600,
  sendSeconds: 60,
  connections: 1024,
  waitingBytes: 4 * 1024 * 1024,
  vectors: 1000,
};

export interface ServedModel {
  /** As requests name it. */
  readonly id: string;
  readonly model: LanguageModel;
}

export interface ServerSettings {
  readonly models: readonly ServedModel[];
  /** Folder of vectors, the only one that requests can reach. */
  readonly vectors: string;
  readonly limits: Limits;
  /** Host names that requests may be addressed to, beside those of the loopback. */
  readonly hosts: readonly string[];
  /** Null on the loopback: everybody on this machine may ask. */
  readonly keys: ApiKeys | null;
  /** What calls that change something carry as `x-persona-token`. */
  readonly token: string;
  readonly version: string;
  /** The pages at `/`, which anybody who reaches the server may have; null where there are none. */
  readonly dashboard: Dashboard | null;
  /** Whether prompts and replies are logged. */
  readonly logText: boolean;
  /** Where conversations are kept; null keeps none. */
  readonly monitor: MonitorSettings | null;
  /** Where commands of this package are run; null runs none. */
  readonly runs: RunSettings | null;
  /** Folders whose screenings are shown; none shows none. */
  readonly screens: readonly string[];
}
